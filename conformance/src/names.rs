//! Random roles and requests for names, put to Signet and to the reference, which is the judge.

mod generate;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use self::generate::Random;
use crate::compare::compare;
use crate::redact::Redaction;
use crate::report::Tally;
use crate::server::{Mode, Ports, Server, Target};
use crate::wire::{self, Request};

/// Its name among the suites.
pub(crate) const NAMES: &str = "names";

/// Each round makes a role and asks it for this many certificates.
const REQUESTS_PER_ROUND: u64 = 4;
/// Differences that are shown in full.
const SHOWN_MAX: usize = 20;

/// Plays `rounds` rounds; the first one has `seed`, each further one the next number.
pub(crate) fn play(
    ours: &Target,
    theirs: &Target,
    ports: &mut Ports,
    rounds: u64,
    seed: u64,
    out: &mut impl Write,
) -> io::Result<Tally> {
    let pair = [
        Server::start(ours, Mode::Dev, ports)?,
        Server::start(theirs, Mode::Dev, ports)?,
    ];
    for server in &pair {
        for (path, body) in [
            (
                "sys/mounts/pki",
                json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}}),
            ),
            (
                "pki/root/generate/internal",
                json!({"common_name": "Root", "key_type": "ec", "ttl": "80000h"}),
            ),
        ] {
            let (status, answer) = post(server, path, &body)?;
            if status >= 300 {
                return Err(io::Error::other(format!("{path}: {status} {answer}")));
            }
        }
    }
    let mut tally = Tally::new(NAMES);
    let mut granted = 0;
    for round_seed in (0..rounds).map(|round| seed.wrapping_add(round)) {
        let mut random = Random::new(round_seed);
        let role = generate::role(&mut random);
        let mut requests = vec![("pki/roles/r".to_owned(), role.clone())];
        for _ in 0..REQUESTS_PER_ROUND {
            requests.push((
                "pki/issue/r".to_owned(),
                generate::request(&mut random, &role),
            ));
        }
        for (path, body) in requests {
            let (our_status, our_answer) = outcome(&pair[0], &path, &body)?;
            let (their_status, their_answer) = outcome(&pair[1], &path, &body)?;
            let differences = compare(&their_answer, &our_answer);
            // A mistake of the client is a 400 here also where it is a 500 there.
            let same_status =
                our_status == their_status || (our_status, their_status) == (400, 500);
            if differences.is_empty() && same_status {
                tally.passed += 1;
                granted += usize::from(path.contains("/issue/") && our_status == 200);
                continue;
            }
            tally.failed += 1;
            if tally.failed <= SHOWN_MAX {
                writeln!(
                    out,
                    "{NAMES}: --seed {round_seed} --rounds 1: {path} {body}"
                )?;
                writeln!(out, "    role {role}")?;
                writeln!(
                    out,
                    "    /status: expected {their_status}, got {our_status}"
                )?;
                for difference in differences {
                    writeln!(out, "    {difference}")?;
                }
            }
        }
    }
    writeln!(
        out,
        "{NAMES}: {} agree, {} differ; {granted} certificates were issued; seeds {seed} to {}",
        tally.passed,
        tally.failed,
        seed.wrapping_add(rounds).wrapping_sub(1)
    )?;
    Ok(tally)
}

/// Status and what is compared of the answer: the certificate's digest or the error's text.
fn outcome(server: &Server, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let (status, answer) = post(server, path, body)?;
    if let Some(error) = answer.pointer("/errors/0").and_then(Value::as_str) {
        let bare = error
            .strip_prefix("1 error occurred:\n\t* ")
            .map_or(error, |rest| rest.trim_end());
        return Ok((status, json!({ "error": bare })));
    }
    let compared = json!({
        "certificate": answer.pointer("/data/certificate"),
        "warnings": answer.get("warnings"),
    });
    let redacted = Redaction::default().value(&compared, &BTreeMap::new());
    Ok((status, redacted))
}

fn post(server: &Server, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let request = Request {
        method: "POST".to_owned(),
        target: format!("/v1/{path}"),
        headers: vec![("X-Vault-Token".to_owned(), server.token.clone())],
        body: body.to_string().into_bytes(),
    };
    let answer = wire::send(&server.address, &request)?;
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    Ok((answer.status, body))
}
