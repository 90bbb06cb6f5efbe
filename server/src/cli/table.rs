//! Tables of aligned columns.

use std::fmt::Write;

use serde_json::Value;

use crate::cli::output::go_value;

/// Rows of equal length in columns; the first row is the header. Empty cells read `n/a`.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let Some((header, body)) = rows.split_first() else {
        return String::new();
    };
    let rule = header
        .iter()
        .map(|title| "-".repeat(title.chars().count()))
        .collect();
    let all: Vec<&Vec<String>> = [header, &rule].into_iter().chain(body).collect();
    columns(&all)
}

/// Columns without a header.
pub(crate) fn plain_table(rows: &[Vec<String>]) -> String {
    columns(&rows.iter().collect::<Vec<_>>())
}

fn columns(rows: &[&Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            let width = cell_text(cell).chars().count();
            match widths.get_mut(index) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let last = row.len().saturating_sub(1);
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let cell = cell_text(cell);
                if index == last {
                    line.push_str(cell);
                } else {
                    let _ = write!(line, "{cell:width$}{GAP}");
                }
            }
            line
        })
        .collect();
    lines.join("\n")
}

fn cell_text(cell: &str) -> &str {
    match cell.trim() {
        "" => "n/a",
        text => text,
    }
}

/// A table of two columns under `Key` and `Value`.
pub(crate) fn key_value_table(rows: Vec<(String, String)>) -> String {
    let header = std::iter::once(("Key".to_owned(), "Value".to_owned()));
    let rows: Vec<Vec<String>> = header
        .chain(rows)
        .map(|(key, value)| vec![key, value])
        .collect();
    table(&rows)
}

/// `list -detailed`: one column per piece of information about the keys.
pub(crate) fn detailed_list(keys: &[String], key_info: &Value) -> String {
    let mut names: Vec<&String> = Vec::new();
    for info in keys.iter().filter_map(|key| key_info.get(key)?.as_object()) {
        for name in info.keys() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.sort();
    let header = std::iter::once("Keys".to_owned())
        .chain(names.iter().map(|name| (*name).clone()))
        .collect();
    let body = keys.iter().map(|key| {
        let info = key_info.get(key);
        std::iter::once(key.clone())
            .chain(names.iter().map(|name| {
                info.and_then(|info| info.get(name.as_str()))
                    .map(go_value)
                    .unwrap_or_default()
            }))
            .collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(body).collect();
    table(&rows)
}

pub(crate) fn key_list(keys: &[String]) -> String {
    single_column("Keys", keys)
}

pub(crate) fn single_column(title: &str, values: &[String]) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(title)
        .chain(values.iter().map(String::as_str))
        .map(|value| vec![value.to_owned()])
        .collect();
    table(&rows)
}

const GAP: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_names_empty_cells() {
        let rows = vec![
            vec![
                "Path".to_owned(),
                "Type".to_owned(),
                "Description".to_owned(),
            ],
            vec!["pki/".to_owned(), "pki".to_owned(), String::new()],
            vec![
                "cubbyhole/".to_owned(),
                "cubbyhole".to_owned(),
                " per token ".to_owned(),
            ],
        ];
        assert_eq!(
            table(&rows),
            "Path          Type         Description\n\
             ----          ----         -----------\n\
             pki/          pki          n/a\n\
             cubbyhole/    cubbyhole    per token"
        );
    }
}
