//! The names in an order: their form, and whether the role would have them at all.

use std::net::IpAddr;

use serde_json::Value;
use signet_pki::role::Role;
use signet_pki::vet;

use crate::secrets::pki::acme::problem::{Kind, Problem};
use crate::secrets::pki::acme::records::{ChallengeKind, Identifier, IdentifierKind};
use crate::secrets::pki::acme::session::type_name;

/// Names in one order. Public authorities take as many.
const MAX_IDENTIFIERS: usize = 100;

/// Reads the identifiers of a request for an order: each once, in its order.
pub(super) fn parse(value: Option<&Value>) -> Result<Vec<Identifier>, Problem> {
    let malformed = |text: &str| Kind::Malformed.because(text);
    let values = match value {
        None => return Err(malformed("missing required identifiers argument")),
        Some(Value::Array(values)) => values,
        Some(other) => {
            return Err(malformed(&format!(
                "invalid type ({}) for field 'identifiers'",
                type_name(other)
            )));
        }
    };
    if values.is_empty() {
        return Err(malformed("no identifiers"));
    }
    if values.len() > MAX_IDENTIFIERS {
        return Err(malformed(&format!(
            "more than {MAX_IDENTIFIERS} identifiers"
        )));
    }
    let mut identifiers: Vec<Identifier> = Vec::new();
    for value in values {
        let identifier = parse_one(value)?;
        if !identifiers.contains(&identifier) {
            identifiers.push(identifier);
        }
    }
    Ok(identifiers)
}

fn parse_one(value: &Value) -> Result<Identifier, Problem> {
    let malformed = |text: String| Kind::Malformed.because(text);
    let member = |name: &str| match value.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(malformed(format!(
            "invalid type for {name} argument for value in 'identifiers'"
        ))),
        None => Err(malformed(format!(
            "missing {name} argument for value in 'identifiers'"
        ))),
    };
    let kind = member("type")?;
    let text = member("value")?;
    if text.is_empty() {
        return Err(malformed(
            "value argument for value in 'identifiers' can not be blank".to_owned(),
        ));
    }
    let invalid =
        |why: &str| malformed(format!("value argument ({text}) failed validation: {why}"));
    match kind {
        "ip" => {
            let address: IpAddr = text.parse().map_err(|_| invalid("failed parsing as IP"))?;
            Ok(Identifier {
                kind: IdentifierKind::Ip,
                value: address.to_string(),
            })
        }
        "dns" => {
            check_name(text).map_err(|why| match why {
                Fault::Address => malformed(format!(
                    "refusing to accept argument ({text}) as DNS type identifier: parsed OK as IP \
                     address"
                )),
                Fault::NotAscii => malformed(format!(
                    "value argument ({text}) failed IDNA round-tripping to ASCII"
                )),
                Fault::Shape(why) => invalid(why),
            })?;
            Ok(Identifier {
                kind: IdentifierKind::Dns,
                value: text.to_owned(),
            })
        }
        other => {
            Err(Kind::UnsupportedIdentifier.because(format!("unsupported identifier type {other}")))
        }
    }
}

/// What is wrong with a DNS name.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Address,
    NotAscii,
    Shape(&'static str),
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.parse::<IpAddr>().is_ok() {
        return Err(Fault::Address);
    }
    if !name.is_ascii() {
        return Err(Fault::NotAscii);
    }
    let below = match name.matches('*').count() {
        0 => name,
        1 => {
            let Some((first, rest)) = name.split_once('.') else {
                return Err(Fault::Shape(
                    "invalid wildcard: wildcard must not be entire domain name; need at least two \
                     domain labels",
                ));
            };
            if !first.contains('*') {
                return Err(Fault::Shape(
                    "invalid wildcard: expected wildcard to only be present in left-most domain \
                     label",
                ));
            }
            if first != "*" {
                return Err(Fault::Shape(
                    "invalid wildcard: wildcard must be entire left-most label",
                ));
            }
            rest
        }
        _ => {
            return Err(Fault::Shape(
                "invalid wildcard: expected only one wildcard identifier in the given domain name",
            ));
        }
    };
    if vet::is_canonical_name(below) {
        Ok(())
    } else {
        Err(Fault::Shape(
            "it is not a host name in ASCII and lower case",
        ))
    }
}

/// Would the role have this name? Asked before anybody proves anything.
pub(super) fn check_role(
    identifier: &Identifier,
    role: &Role,
    role_name: &str,
) -> Result<(), Problem> {
    let value = &identifier.value;
    let rejected = |text: String| Err(Kind::RejectedIdentifier.with(text));
    match (identifier.kind, identifier.address()) {
        (IdentifierKind::Dns, _) if !vet::may_have_name(role, value) => rejected(format!(
            "role ({role_name}) will not issue certificate for name {value}"
        )),
        (IdentifierKind::Ip, _) if !role.allow_ip_sans => rejected(format!(
            "role ({role_name}) does not allow IP sans, so cannot issue certificate for {value}"
        )),
        (IdentifierKind::Ip, Some(address)) if !vet::may_have_address(role, address) => rejected(
            format!("role ({role_name}) will not issue certificate for address {value}"),
        ),
        _ => Ok(()),
    }
}

impl Identifier {
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.kind {
            IdentifierKind::Dns => None,
            IdentifierKind::Ip => self.value.parse().ok(),
        }
    }

    /// What is to be proved: the name without `*`, and whether it had one.
    pub(super) fn to_prove(&self) -> (Self, bool) {
        match self.value.strip_prefix("*.") {
            Some(below) => {
                let below = Self {
                    kind: self.kind,
                    value: below.to_owned(),
                };
                (below, true)
            }
            None => (self.clone(), false),
        }
    }

    /// The ways in which it can be proved.
    pub(super) fn challenges(&self, wildcard: bool) -> &'static [ChallengeKind] {
        use ChallengeKind::{Dns01, Http01, TlsAlpn01};
        match (self.kind, wildcard) {
            (IdentifierKind::Dns, false) => &[Http01, Dns01, TlsAlpn01],
            (IdentifierKind::Dns, true) => &[Dns01],
            (IdentifierKind::Ip, _) => &[Http01],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(kind: &str, value: &str) -> String {
        let value = json!([{"type": kind, "value": value}]);
        parse(Some(&value)).unwrap_err().detail
    }

    fn values(value: &Value) -> Vec<String> {
        let identifiers = parse(Some(value)).unwrap();
        identifiers.into_iter().map(|it| it.value).collect()
    }

    #[test]
    fn names_and_addresses_are_taken_once_each() {
        let value = json!([
            {"type": "dns", "value": "a.example.com"},
            {"type": "dns", "value": "*.xn--bcher-kva.de"},
            {"type": "dns", "value": "a.example.com"},
            {"type": "ip", "value": "0:0::1"},
            {"type": "ip", "value": "::1"},
        ]);
        assert_eq!(
            values(&value),
            ["a.example.com", "*.xn--bcher-kva.de", "::1"]
        );
    }

    #[test]
    fn names_of_another_form_are_refused() {
        for (name, text) in [
            ("192.0.2.1", "parsed OK as IP address"),
            ("::1", "parsed OK as IP address"),
            ("bücher.de", "failed IDNA round-tripping to ASCII"),
            ("*", "need at least two domain labels"),
            ("*.*.a.com", "expected only one wildcard"),
            ("a.*.com", "left-most domain label"),
            ("foo*.a.com", "must be entire left-most label"),
            ("A.Example.com", "lower case"),
            ("a.example.com.", "not a host name"),
            ("a b", "not a host name"),
            ("a,b", "not a host name"),
            ("a@b", "not a host name"),
            ("*.", "not a host name"),
            ("xn--zz", "not a host name"),
            ("", "can not be blank"),
        ] {
            let detail = refused("dns", name);
            assert!(detail.contains(text), "{name}: {detail}");
        }
        assert!(refused("ip", "x").contains("failed parsing as IP"));
        let problem = parse(Some(&json!([{"type": "email", "value": "a@b"}]))).unwrap_err();
        assert_eq!(problem.kind, Kind::UnsupportedIdentifier);
    }

    #[test]
    fn requests_without_identifiers_are_refused() {
        for value in [
            json!([]),
            json!("a"),
            json!([{}]),
            json!([{"type": "dns"}]),
            json!([{"type": "dns", "value": 1}]),
            json!(["a"]),
            json!(vec![json!({"type": "dns", "value": "a"}); 101]),
        ] {
            let problem = parse(Some(&value)).unwrap_err();
            assert_eq!(problem.kind, Kind::Malformed, "{value}");
        }
        assert!(parse(None).is_err());
    }

    #[test]
    fn a_wildcard_is_proved_with_dns_and_an_address_with_http() {
        let shown = |value: &str, kind| {
            let identifier = Identifier {
                kind,
                value: value.to_owned(),
            };
            let (proved, wildcard) = identifier.to_prove();
            let challenges = proved.challenges(wildcard).iter().map(|kind| kind.name());
            (
                proved.value.clone(),
                wildcard,
                challenges.collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            shown("*.a.b", IdentifierKind::Dns),
            ("a.b".to_owned(), true, vec!["dns-01"])
        );
        assert_eq!(
            shown("a.b", IdentifierKind::Dns).2,
            ["http-01", "dns-01", "tls-alpn-01"]
        );
        assert_eq!(shown("::1", IdentifierKind::Ip).2, ["http-01"]);
    }
}
