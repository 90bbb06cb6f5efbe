//! Keys, pages and children.

use std::collections::BTreeSet;
use std::sync::Arc;

use signet_storage::Version;

use super::{Fixture, batch, fill, value};

pub(crate) async fn keys_come_in_byte_order_and_below_the_prefix_only(fixture: &Fixture) {
    let store = fixture.open();
    fill(
        &store,
        &[
            "b/2", "b/10", "b", "b-1/x", "b/a/z", "b0", "a", "c/1", "B/1",
        ],
    )
    .await;
    assert_eq!(
        store.keys("b/", None, 100).await.unwrap(),
        ["10", "2", "a/z"]
    );
    assert_eq!(
        store.keys("b", None, 100).await.unwrap(),
        ["", "-1/x", "/10", "/2", "/a/z", "0"]
    );
    assert_eq!(store.keys("d/", None, 100).await.unwrap(), [""; 0]);
    assert_eq!(
        store.keys("", None, 100).await.unwrap(),
        [
            "B/1", "a", "b", "b-1/x", "b/10", "b/2", "b/a/z", "b0", "c/1"
        ]
    );
}

pub(crate) async fn pages_of_any_size_give_every_key_once(fixture: &Fixture) {
    let store = fixture.open();
    let paths: Vec<String> = (0..40).map(|at| format!("p/{}/{at:02}", at % 7)).collect();
    fill(
        &store,
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    fill(&store, &["o", "p", "p0", "q/1"]).await;
    let all = store.keys("p/", None, 100).await.unwrap();
    assert_eq!(all.len(), 40);
    for limit in [1, 2, 7, 39, 40, 41] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = store.keys("p/", after, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit}");
    }
}

pub(crate) async fn a_page_may_start_after_a_key_that_does_not_exist(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["p/a", "p/c", "p/e"]).await;
    assert_eq!(store.keys("p/", Some("b"), 10).await.unwrap(), ["c", "e"]);
    assert_eq!(store.keys("p/", Some("c"), 10).await.unwrap(), ["e"]);
    assert_eq!(store.keys("p/", Some("z"), 10).await.unwrap(), [""; 0]);
    assert_eq!(
        store.children("p/", Some("b"), 10).await.unwrap(),
        ["c", "e"]
    );
}

pub(crate) async fn a_limit_of_nothing_gives_nothing(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["a", "b/c"]).await;
    assert!(store.keys("", None, 0).await.unwrap().is_empty());
    assert!(store.scan("", None, 0).await.unwrap().is_empty());
    assert!(store.children("", None, 0).await.unwrap().is_empty());
}

pub(crate) async fn scan_gives_the_values_and_versions_of_keys(fixture: &Fixture) {
    let store = fixture.open();
    let first = store
        .commit(batch(&[("s/a", "1"), ("s/b/c", "2")]))
        .await
        .unwrap();
    let second = store
        .commit(batch(&[("s/d", "3"), ("t", "4")]))
        .await
        .unwrap();
    let found = store.scan("s/", None, 10).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(key, entry)| (key.as_str(), entry.value.as_slice(), entry.version))
        .collect();
    let expected: [(&str, &[u8], Version); 3] = [
        ("a", b"1", first),
        ("b/c", b"2", first),
        ("d", b"3", second),
    ];
    assert_eq!(found, expected);
    let page = store.scan("s/", Some("a"), 1).await.unwrap();
    assert_eq!(
        page.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["b/c"]
    );
}

pub(crate) async fn children_are_one_level_deep_and_in_byte_order(fixture: &Fixture) {
    let store = fixture.open();
    fill(
        &store,
        &[
            "p/a", "p/a-b", "p/a/1", "p/a/2/3", "p/a0", "p/b/x/y", "p", "q/z",
        ],
    )
    .await;
    assert_eq!(
        store.children("p/", None, 10).await.unwrap(),
        ["a", "a-b", "a/", "a0", "b/"]
    );
    assert_eq!(
        store.children("", None, 10).await.unwrap(),
        ["p", "p/", "q/"]
    );
    assert_eq!(store.children("p/a/", None, 10).await.unwrap(), ["1", "2/"]);
    assert_eq!(store.children("p/b/x/", None, 10).await.unwrap(), ["y"]);
    assert_eq!(store.children("p/none/", None, 10).await.unwrap(), [""; 0]);
}

pub(crate) async fn children_page_over_names_that_have_keys_below(fixture: &Fixture) {
    let store = fixture.open();
    let mut paths = Vec::new();
    for directory in 0..20 {
        paths.push(format!("p/{directory:02}"));
        paths.push(format!("p/{directory:02}-x"));
        for file in 0..30 {
            paths.push(format!("p/{directory:02}/{file}"));
        }
    }
    fill(
        &store,
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let all = store.children("p/", None, 1000).await.unwrap();
    assert_eq!(all.len(), 60);
    for limit in [1, 3, 59, 60, 61] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = store.children("p/", after, limit).await.unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit}");
    }
}

pub(crate) async fn unicode_paths_and_prefixes_work(fixture: &Fixture) {
    let store = fixture.open();
    let paths = ["π/ä", "π/z", "π/é/1", "π/😀/1", "π"];
    fill(&store, &paths).await;
    for path in paths {
        assert_eq!(value(&store, path).await.as_deref(), Some(path));
    }
    assert_eq!(
        store.keys("π/", None, 10).await.unwrap(),
        ["z", "ä", "é/1", "😀/1"]
    );
    assert_eq!(
        store.children("π/", None, 10).await.unwrap(),
        ["z", "ä", "é/", "😀/"]
    );
    assert_eq!(store.children("π/", Some("é/"), 10).await.unwrap(), ["😀/"]);
}

pub(crate) async fn reading_a_bad_path_finds_nothing(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["a/b"]).await;
    for bad in [
        "",
        "/",
        "a/",
        "/a/b",
        "a//b",
        "\u{1}last-commit",
        "\u{1}format",
    ] {
        assert_eq!(store.get(bad).await.unwrap(), None, "{bad:?}");
    }
    for bad in ["/", "a//", "\u{1}"] {
        assert!(
            store.keys(bad, None, 10).await.unwrap().is_empty(),
            "{bad:?}"
        );
        assert!(
            store.children(bad, None, 10).await.unwrap().is_empty(),
            "{bad:?}"
        );
    }
}

pub(crate) async fn a_scan_sees_whole_batches(fixture: &Fixture) {
    let store = fixture.open();
    fill(&store, &["pair/a", "pair/b", "pair/c"]).await;
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        for round in 0..200 {
            let text = round.to_string();
            let changes = batch(&[("pair/a", &text), ("pair/b", &text), ("pair/c", &text)]);
            writing.commit(changes).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let found = store.scan("pair/", None, 10).await.unwrap();
        let versions: BTreeSet<_> = found.iter().map(|(_, entry)| entry.version).collect();
        assert_eq!(versions.len(), 1, "{found:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}
