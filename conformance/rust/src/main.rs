//! `client` uses the server at `VAULT_ADDR` through vaultrs; `verify FOLDER` has rustls-webpki on ring judge
//! the specimens of a folder. Both print a line a check and fail when one does.

mod client;
mod verify;

use std::process::ExitCode;

/// What a check found wrong.
type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let mut report = Report::default();
    match arguments.get(1).map(String::as_str) {
        Some("client") => client::run(&mut report).await,
        Some("verify") => match arguments.get(2) {
            Some(folder) => verify::run(folder.as_ref(), &mut report),
            None => report.add("arguments", Err("no folder".into())),
        },
        _ => report.add("arguments", Err("client, or verify FOLDER".into())),
    }
    if report.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn add(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                self.failed = true;
                println!("FAILED {name}: {}", first_line(&format!("{error:?}")));
            }
        }
    }

    fn skip(name: &str, reason: &str) {
        println!("skipped {name}: {reason}");
    }
}

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(format!("{what:?}").into())
    }
}

fn first_line(text: &str) -> &str {
    text.split("Stack backtrace")
        .next()
        .unwrap_or(text)
        .lines()
        .next()
        .unwrap_or(text)
}
