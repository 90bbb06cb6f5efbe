//! Random roles and requests for names, put to Signet and to the reference, which is the judge.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

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
        let mut random = Random(round_seed);
        let role = role(&mut random);
        let mut requests = vec![("pki/roles/r".to_owned(), role.clone())];
        for _ in 0..REQUESTS_PER_ROUND {
            requests.push(("pki/issue/r".to_owned(), request(&mut random)));
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

fn role(random: &mut Random) -> Value {
    let mut role = json!({
        "key_type": "ec",
        "ttl": "1h",
        "allowed_domains": random.some(&DOMAINS, 3),
    });
    for flag in FLAGS {
        if random.one_in(3) {
            put(&mut role, flag, random.one_in(2).into());
        }
    }
    if random.one_in(4) {
        put(
            &mut role,
            "allowed_uri_sans",
            random.some(&URI_PATTERNS, 2).into(),
        );
    }
    if random.one_in(6) {
        put(
            &mut role,
            "allowed_ip_sans_cidr",
            random.some(&NETWORKS, 2).into(),
        );
    }
    if random.one_in(6) {
        put(
            &mut role,
            "allowed_other_sans",
            random.some(&OTHER_PATTERNS, 2).into(),
        );
    }
    if random.one_in(6) {
        put(
            &mut role,
            "allowed_user_ids",
            random.some(&USER_PATTERNS, 2).into(),
        );
    }
    if random.one_in(6) {
        put(
            &mut role,
            "allowed_serial_numbers",
            random.some(&SERIAL_PATTERNS, 2).into(),
        );
    }
    if random.one_in(5) {
        put(
            &mut role,
            "cn_validations",
            random.some(&VALIDATIONS, 2).into(),
        );
    }
    role
}

fn request(random: &mut Random) -> Value {
    let mut request = json!({});
    if !random.one_in(8) {
        put(&mut request, "common_name", name(random).into());
    }
    if random.one_in(2) {
        let names: Vec<String> = (0..=random.below(3)).map(|_| name(random)).collect();
        put(&mut request, "alt_names", names.join(",").into());
    }
    for (field, values, one_in) in [
        ("uri_sans", &URIS[..], 4),
        ("ip_sans", &ADDRESSES[..], 4),
        ("user_ids", &USERS[..], 8),
    ] {
        if random.one_in(one_in) {
            put(&mut request, field, random.some(values, 2).into());
        }
    }
    if random.one_in(8) {
        // The reference names any one of several that are not allowed.
        put(&mut request, "other_sans", random.pick(&OTHERS).into());
    }
    if random.one_in(8) {
        let serial = random.pick(&SERIALS);
        put(&mut request, "serial_number", serial.into());
    }
    if random.one_in(3) {
        put(&mut request, "exclude_cn_from_sans", true.into());
    }
    request
}

/// A domain, perhaps with labels before it or something wrong about it.
fn name(random: &mut Random) -> String {
    let base = random.pick(&BASES);
    let prefix = random.pick(&PREFIXES);
    let joined = format!("{prefix}{base}");
    match random.below(12) {
        0 => format!("user@{joined}"),
        1 => joined.to_ascii_uppercase(),
        2 => random.pick(&ODD_NAMES).to_owned(),
        _ => joined,
    }
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// `SplitMix64`: the same numbers for a seed on every machine and in every version.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, values: &[&'a str]) -> &'a str {
        let count = u64::try_from(values.len()).unwrap_or(1);
        let at = usize::try_from(self.below(count)).unwrap_or(0);
        values.get(at).copied().unwrap_or_default()
    }

    /// One to `most` of the values.
    fn some(&mut self, values: &[&str], most: u64) -> Vec<String> {
        (0..=self.below(most))
            .map(|_| self.pick(values).to_owned())
            .collect()
    }
}

const FLAGS: [&str; 12] = [
    "allow_any_name",
    "allow_bare_domains",
    "allow_glob_domains",
    "allow_ip_sans",
    "allow_localhost",
    "allow_subdomains",
    "allow_wildcard_certificates",
    "basic_constraints_valid_for_non_ca",
    "client_flag",
    "enforce_hostnames",
    "require_cn",
    "server_flag",
];
const DOMAINS: [&str; 12] = [
    "example.com",
    "*.example.com",
    "a*.example.com",
    "*b.example.com",
    "*.*.foo",
    "foo",
    "*.foo",
    "localhost",
    "a.b.example.com",
    "EXAMPLE.com",
    "example.com.",
    "*",
];
const BASES: [&str; 11] = [
    "example.com",
    "foo",
    "bar.foo",
    "b.example.com",
    "a.b.example.com",
    "localhost",
    "localdomain",
    "localhost.localdomain",
    "other.org",
    "example.com.evil.org",
    "badexample.com",
];
const PREFIXES: [&str; 13] = [
    "", "", "", "a.", "b.", "www.", "*.", "*.a.", "a*.", "*b.", "x*y.", "a.b.c.", "**.",
];
const ODD_NAMES: [&str; 12] = [
    "*",
    "-a.example.com",
    "a-.example.com",
    "a..example.com",
    ".example.com",
    "example.com.",
    "a_b.example.com",
    "1.2.3.4",
    "xn--bcher-kva.example.com",
    "user@",
    "@example.com",
    "www.*.example.com",
];
const URI_PATTERNS: [&str; 5] = [
    "*",
    "spiffe://*",
    "spiffe://td/ns/*",
    "spiffe://td/ns/a",
    "https://example.com/*",
];
const URIS: [&str; 6] = [
    "spiffe://td/ns/a",
    "spiffe://td/ns/b/sa/c",
    "spiffe://other/ns/a",
    "https://example.com/x?y=z",
    "urn:uuid:0cd8cea9-5781-86a5-03d6-736a57348dd0",
    "spiffe://td/ns/A",
];
const NETWORKS: [&str; 4] = ["10.0.0.0/8", "192.168.1.0/24", "fd00::/8", "0.0.0.0/0"];
const ADDRESSES: [&str; 7] = [
    "10.1.2.3",
    "192.168.1.1",
    "192.168.2.1",
    "fd00::1",
    "::1",
    "::ffff:10.0.0.1",
    "300.1.1.1",
];
const OTHER_PATTERNS: [&str; 3] = [
    "*",
    "1.3.6.1.4.1.311.20.2.3;UTF8:*@example.com",
    "1.2.3.4;UTF8:*",
];
const OTHERS: [&str; 4] = [
    "1.3.6.1.4.1.311.20.2.3;UTF8:a@example.com",
    "1.2.3.4;UTF8:x",
    "1.2.3.4;utf-8:y",
    "1.2.3.5;UTF8:z",
];
const USER_PATTERNS: [&str; 3] = ["*", "a*", "bob"];
const USERS: [&str; 3] = ["alice", "bob", "carol"];
const SERIAL_PATTERNS: [&str; 3] = ["*", "a*", "12-34"];
const SERIALS: [&str; 3] = ["abc", "12-34", "x"];
const VALIDATIONS: [&str; 3] = ["email", "hostname", "disabled"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_round_again() {
        let round = |seed| {
            let mut random = Random(seed);
            (role(&mut random), request(&mut random))
        };
        assert_eq!(round(7), round(7));
        assert_ne!(round(7), round(8));
    }
}
