//! Roles and requests out of random numbers: about half of the requests are for what their role allows.

use serde_json::{Value, json};

pub(super) fn role(random: &mut Random) -> Value {
    let mut role = json!({
        "key_type": "ec",
        "ttl": "1h",
        "allowed_domains": random.some(&DOMAINS, 3),
    });
    let generous = !random.one_in(5);
    for flag in FLAGS {
        if generous && GRANTING.contains(&flag) {
            put(&mut role, flag, (!random.one_in(6)).into());
        } else if random.one_in(3) {
            put(&mut role, flag, random.one_in(2).into());
        }
    }
    for (field, values, one_in) in [
        ("allowed_uri_sans", &URI_PATTERNS[..], 3),
        ("allowed_ip_sans_cidr", &NETWORKS[..], 6),
        ("allowed_other_sans", &OTHER_PATTERNS[..], 4),
        ("allowed_user_ids", &USER_PATTERNS[..], 4),
        ("allowed_serial_numbers", &SERIAL_PATTERNS[..], 4),
        ("cn_validations", &VALIDATIONS[..], 8),
    ] {
        if random.one_in(one_in) {
            put(&mut role, field, random.some(values, 2).into());
        }
    }
    role
}

/// What a role is asked for: in three of four cases names that it may allow, else anything.
pub(super) fn request(random: &mut Random, role: &Value) -> Value {
    let fitting = !random.one_in(4);
    let mut request = json!({});
    let name = |random: &mut Random| {
        if fitting {
            fitting_name(random, role)
        } else {
            name(random)
        }
    };
    if !random.one_in(if fitting { 16 } else { 8 }) {
        put(&mut request, "common_name", name(random).into());
    }
    if random.one_in(2) {
        let names: Vec<String> = (0..=random.below(3)).map(|_| name(random)).collect();
        put(&mut request, "alt_names", names.join(",").into());
    }
    // Of names of one kind that are not allowed the reference tells any one: such are asked for alone.
    for (field, patterns, values, one_in, most) in [
        ("uri_sans", "allowed_uri_sans", &URIS[..], 4, 2),
        ("ip_sans", "", &ADDRESSES[..], 4, 2),
        ("user_ids", "allowed_user_ids", &USERS[..], 8, 2),
        ("other_sans", "allowed_other_sans", &OTHERS[..], 8, 1),
        (
            "serial_number",
            "allowed_serial_numbers",
            &SERIALS[..],
            8,
            1,
        ),
    ] {
        if !random.one_in(one_in) {
            continue;
        }
        let mut asked = random.some(values, most);
        if fitting {
            asked.retain(|value| match patterns {
                "" => allows_address(role, value),
                patterns => texts(role, patterns).any(|pattern| matches(pattern, value)),
            });
        }
        if !asked.is_empty() {
            put(&mut request, field, asked.join(",").into());
        }
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

/// A name below or at a domain of the role.
fn fitting_name(random: &mut Random, role: &Value) -> String {
    let is = |flag: &str, default: bool| role.get(flag).and_then(Value::as_bool).unwrap_or(default);
    let (bare, below, globs) = (
        is("allow_bare_domains", false),
        is("allow_subdomains", false),
        is("allow_glob_domains", false),
    );
    let domains: Vec<&str> = if is("allow_any_name", false) {
        BASES.to_vec()
    } else {
        texts(role, "allowed_domains")
            .filter(|domain| {
                if domain.contains('*') {
                    globs
                } else {
                    bare || below
                }
            })
            .collect()
    };
    if domains.is_empty() {
        return if random.one_in(2) {
            "localhost".to_owned()
        } else {
            name(random)
        };
    }
    let domain = random.pick(&domains);
    // A pattern stands for what fits it.
    let filled = domain.replace('*', random.pick(&LABELS));
    let prefix = match (bare, below) {
        _ if domain.contains('*') => "",
        (true, false) => "",
        (true, true) => random.pick(&PLAIN_PREFIXES),
        (false, _) => random.pick(PLAIN_PREFIXES.split_at(2).1),
    };
    let joined = format!("{prefix}{filled}");
    match random.below(24) {
        0 => format!("user@{joined}"),
        1 => joined.to_ascii_uppercase(),
        2 if is("allow_wildcard_certificates", true) => format!("*.{filled}"),
        3 if is("allow_localhost", true) => "localhost".to_owned(),
        _ => joined,
    }
}

fn texts<'a>(role: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    role.get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Whether a text is the pattern, or begins as one that ends in a star. A guess is enough: the reference is the judge.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

/// A guess like [`matches`].
fn allows_address(role: &Value, address: &str) -> bool {
    let may = role.get("allow_ip_sans").and_then(Value::as_bool);
    let mut networks = texts(role, "allowed_ip_sans_cidr").peekable();
    address.parse::<std::net::IpAddr>().is_ok()
        && may.unwrap_or(true)
        && (networks.peek().is_none()
            || networks.any(|network| matches(&network.replace(".0.0.0/8", ".*"), address)))
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// `SplitMix64`: the same numbers for a seed on every machine and in every version.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

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
/// What most roles allow.
const GRANTING: [&str; 4] = [
    "allow_bare_domains",
    "allow_glob_domains",
    "allow_ip_sans",
    "allow_subdomains",
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
/// The first two stay at the domain.
const PLAIN_PREFIXES: [&str; 6] = ["", "", "a.", "b.", "www.", "a.b.c."];
const LABELS: [&str; 3] = ["a", "x-1", "b2"];
const ODD_NAMES: [&str; 22] = [
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
    "_dmarc.example.com",
    "b\u{fc}cher.example.com",
    "B\u{dc}CHER.example.com",
    "fa\u{df}.example.com",
    "a b.example.com",
    "example.com:443",
    "sixty-four-letters-are-one-more-than-a-label-of-a-name-may-have-.example.com",
    "fd00::1",
    "user@a@example.com",
    "us er@example.com",
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
const OTHER_PATTERNS: [&str; 6] = [
    "*",
    "1.3.6.1.4.1.311.20.2.3;UTF8:*",
    "1.3.6.1.4.1.311.20.2.3;UTF8:*@example.com",
    "1.2.3.4;UTF8:*",
    "1.2.3.4;UTF8:x",
    "1.2.3.5;utf-8:*",
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
/// Two of them are often a mistake.
const VALIDATIONS: [&str; 3] = ["email", "hostname", "disabled"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_round_again() {
        let round = |seed| {
            let mut random = Random::new(seed);
            let role = role(&mut random);
            let request = request(&mut random, &role);
            (role, request)
        };
        assert_eq!(round(7), round(7));
        assert_ne!(round(7), round(8));
    }
}
