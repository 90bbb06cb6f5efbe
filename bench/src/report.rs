//! Figures as a table, as JSON and as a chart.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::calibrate::Calibration;
use crate::scenario::Scenario;
use crate::server::Kind;

/// What one server did in one scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// Of the server's processor time, user and system.
    pub(crate) cpu_micros: f64,
    pub(crate) p50_millis: f64,
    pub(crate) p99_millis: f64,
    pub(crate) resident_mib: f64,
    /// With requests coming at half of the rate; closed loops say nothing of waiting.
    pub(crate) p99_millis_at_half_rate: Option<f64>,
    /// As `wrk` measures it.
    pub(crate) per_second_by_wrk: Option<f64>,
}

impl Figures {
    /// Of several runs.
    pub(crate) fn mean(runs: &[Self]) -> Self {
        let number = crate::count(runs.len().max(1));
        let mean = |of: fn(&Self) -> f64| runs.iter().map(of).sum::<f64>() / number;
        let mean_of_some = |of: fn(&Self) -> Option<f64>| {
            let found: Vec<f64> = runs.iter().filter_map(of).collect();
            (!found.is_empty()).then(|| found.iter().sum::<f64>() / crate::count(found.len()))
        };
        Self {
            per_second: mean(|run| run.per_second),
            cpu_micros: mean(|run| run.cpu_micros),
            p50_millis: mean(|run| run.p50_millis),
            p99_millis: mean(|run| run.p99_millis),
            resident_mib: mean(|run| run.resident_mib),
            p99_millis_at_half_rate: mean_of_some(|run| run.p99_millis_at_half_rate),
            per_second_by_wrk: mean_of_some(|run| run.per_second_by_wrk),
        }
    }
}

/// Both servers in one scenario.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    pub(crate) calibration: Calibration,
    pub(crate) openbao: Option<Figures>,
    pub(crate) signet: Figures,
}

impl Outcome {
    fn ratio(&self) -> Option<f64> {
        let theirs = self.openbao.as_ref()?;
        Some(self.signet.per_second / theirs.per_second)
    }

    fn limit_micros(&self) -> Option<f64> {
        let limit = self.calibration.sum(self.scenario.limit);
        (limit > 0.0).then_some(limit)
    }

    /// How much of the processor time was spent on the cryptography that cannot be left out.
    fn share_of_limit(&self) -> Option<f64> {
        Some(self.limit_micros()? / self.signet.cpu_micros)
    }

    pub(crate) fn to_json(&self) -> Value {
        let operations: serde_json::Map<String, Value> = self
            .calibration
            .0
            .iter()
            .map(|(operation, micros)| (operation.name().to_owned(), rounded(*micros)))
            .collect();
        json!({
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "ratio": self.ratio().map(rounded),
            "limit_cpu_micros": self.limit_micros().map(rounded),
            "share_of_limit": self.share_of_limit().map(rounded),
            "operations_cpu_micros": operations,
            "openbao": self.openbao.as_ref().map(figures_json),
            "signet": figures_json(&self.signet),
        })
    }

    pub(crate) fn row(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(theirs) = &self.openbao {
            self.line(out, Kind::OpenBao, theirs)?;
        }
        self.line(out, Kind::Signet, &self.signet)
    }

    fn line(&self, out: &mut impl Write, kind: Kind, figures: &Figures) -> io::Result<()> {
        let (name, ratio, share) = match kind {
            Kind::OpenBao => ("openbao", None, None),
            Kind::Signet => ("signet", self.ratio(), self.share_of_limit()),
        };
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}x"));
        let share = share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
        let half = figures.p99_millis_at_half_rate;
        let half = half.map_or_else(String::new, |millis| format!("{millis:.2}"));
        let wrk = figures.per_second_by_wrk;
        let wrk = wrk.map_or_else(String::new, |rate| format!("{rate:.0}"));
        writeln!(
            out,
            "{:<15} {name:<8} {:>8.0} {ratio:>7} {:>9.0} {share:>8} {:>8.2} {:>8.2} {half:>9} \
             {:>8.1} {wrk:>8}",
            self.scenario.name,
            figures.per_second,
            figures.cpu_micros,
            figures.p50_millis,
            figures.p99_millis,
            figures.resident_mib,
        )
    }
}

pub(crate) fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<15} {:<8} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8}",
        "scenario",
        "server",
        "req/s",
        "ratio",
        "cpu µs",
        "of limit",
        "p50 ms",
        "p99 ms",
        "p99@half",
        "RSS MiB",
        "by wrk"
    )
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "requests_per_second": rounded(figures.per_second),
        "cpu_micros_per_request": rounded(figures.cpu_micros),
        "p50_millis": rounded(figures.p50_millis),
        "p99_millis": rounded(figures.p99_millis),
        "requests_per_second_by_wrk": figures.per_second_by_wrk.map(rounded),
        "p99_millis_at_half_rate": figures.p99_millis_at_half_rate.map(rounded),
        "resident_mib": rounded(figures.resident_mib),
    })
}

/// To hundredths.
fn rounded(number: f64) -> Value {
    json!((number * 100.0).round() / 100.0)
}

/// Bars of how many times the rate of OpenBao's Signet's is.
pub(crate) fn chart(outcomes: &[Outcome]) -> String {
    use std::fmt::Write as _;
    const LEFT: usize = 130;
    const WIDTH: usize = 720;
    const ROW: usize = 30;
    let rows: Vec<(&str, f64, &Outcome)> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.scenario.name, outcome.ratio()?, outcome)))
        .collect();
    let longest = rows.iter().map(|row| row.1).fold(1.0, f64::max);
    let scale = crate::count(WIDTH - LEFT - 250) / longest;
    let height = 60 + ROW * rows.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\">Requests per second, as a multiple of OpenBao's \
         in the same run</text>\n"
    );
    let one = crate::count(LEFT) + scale;
    for (number, (name, ratio, outcome)) in rows.iter().enumerate() {
        let top = 40 + ROW * number;
        let base = top + 15;
        let length = ratio * scale;
        let text = crate::count(LEFT) + length + 6.0;
        let signet = outcome.signet.per_second;
        let openbao = outcome.openbao.as_ref().map_or(0.0, |f| f.per_second);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"20\" fill=\"#2f6f9f\"/>\
             <text x=\"{text:.1}\" y=\"{base}\">{ratio:.1}× ({signet:.0}/s, {openbao:.0}/s)</text>",
            LEFT - 8
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.1}\" y1=\"36\" x2=\"{one:.1}\" y2=\"{}\" stroke=\"#b33\" \
         stroke-dasharray=\"3 3\"/>\n</svg>",
        height - 16
    );
    svg
}
