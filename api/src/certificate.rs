//! What certificates say to those who only have them as text, such as the command line.

use serde_json::{Map, Value, json};
use signet_pki::cert::Certificate;
use signet_pki::dn::NameView;
use signet_pki::plan::SubjectAttributes;
use thiserror::Error;

use crate::time::Timestamp;

/// A text that is no certificate.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NoCertificate(String);

/// A certificate and the chain that it comes with.
#[derive(Clone, Debug)]
pub struct Chained {
    certificate: Certificate,
    chain: Vec<Certificate>,
}

/// Whether one certificate may be the issuer of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The issuer's key identifier is the one that the other names.
    pub key_id_match: bool,
    /// The issuer is in the other's chain.
    pub path_match: bool,
    /// The issuer, as an authority, has signed the other.
    pub signature_match: bool,
    /// The issuer's subject is the one that the other names.
    pub subject_match: bool,
    /// Who trusts the issuer has, with the other's chain, reason to trust the other now.
    pub trust_match: bool,
}

impl Chained {
    /// # Errors
    /// Texts that are not one PEM certificate each.
    pub fn parse<'t>(
        certificate: &str,
        chain: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, NoCertificate> {
        let parse =
            |text: &str| Certificate::parse_pem(text).map_err(|e| NoCertificate(e.to_string()));
        Ok(Self {
            certificate: parse(certificate)?,
            chain: chain.into_iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// What this one, as an issuer, is to `child`.
    #[must_use]
    pub fn relation_to(&self, child: &Self, now: Timestamp) -> Relation {
        let issuer = &self.certificate;
        let key_id = issuer.subject_key_id();
        Relation {
            key_id_match: key_id.is_some() && key_id == child.certificate.authority_key_id(),
            path_match: child.chain.contains(issuer),
            signature_match: has_signed(issuer, &child.certificate),
            subject_match: issuer.subject_der() == child.certificate.issuer_der(),
            trust_match: child.leads_to(issuer, now),
        }
    }

    /// Is there a path of valid certificates from here up to `root`?
    fn leads_to(&self, root: &Certificate, now: Timestamp) -> bool {
        let is_valid = |certificate: &Certificate| {
            let validity = certificate.validity();
            (validity.not_before.0..=validity.not_after.0).contains(&now.secs())
        };
        if !is_valid(root) {
            return false;
        }
        let mut reached = vec![&self.certificate];
        let mut next = 0;
        while let Some(certificate) = reached.get(next).copied() {
            next += 1;
            if !is_valid(certificate) {
                continue;
            }
            if certificate == root || has_signed(root, certificate) {
                return true;
            }
            let parents: Vec<&Certificate> = self
                .chain
                .iter()
                .filter(|parent| !reached.contains(parent) && has_signed(parent, certificate))
                .collect();
            reached.extend(parents);
        }
        false
    }

    /// The parameters with which an authority like this one is asked for. With `new_key`, also the
    /// kind of its key; the subject's key identifier otherwise.
    #[must_use]
    pub fn template(&self, new_key: bool) -> Map<String, Value> {
        let certificate = &self.certificate;
        let subject = SubjectAttributes::parse(certificate.subject_der()).unwrap_or_default();
        let view = NameView::parse(certificate.subject_der()).unwrap_or_default();
        let names = certificate.subject_alt_names().unwrap_or_default();
        let validity = certificate.validity();
        let signature = certificate
            .signature_algorithm()
            .map(signet_pki::key::SignatureAlgorithm::to_preference);
        let is_among_names = [&names.dns, &names.emails]
            .into_iter()
            .any(|list| list.contains(&view.common_name));
        let list = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
        let ips: Vec<String> = names.ips.iter().map(ToString::to_string).collect();
        let fields = json!({
            "alt_names": format!("{},{}", names.dns.join(","), names.emails.join(",")),
            "common_name": view.common_name,
            "country": list(&subject.country),
            "exclude_cn_from_sans": !is_among_names,
            "ip_sans": ips.join(","),
            "locality": list(&subject.locality),
            "organization": list(&subject.organization),
            "ou": list(&subject.organizational_unit),
            "postal_code": list(&subject.postal_code),
            "province": list(&subject.province),
            "serial_number": view.serial_number,
            "signature_bits": signature.map_or(0, |signature| signature.hash_bits),
            "street_address": list(&subject.street_address),
            "ttl": format!("{}s", validity.not_after.0.saturating_sub(validity.not_before.0)),
            "uri_sans": names.uris.join(","),
            "use_pss": signature.is_some_and(|signature| signature.pss),
        });
        let mut fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let path_len = certificate.path_len().map_or(-1, i64::from);
        fields.insert("max_path_length".into(), path_len.into());
        if new_key {
            let kind = certificate.public_key().kind();
            fields.insert("key_type".into(), kind.type_name().into());
            fields.insert("key_bits".into(), kind.bits().into());
        } else if let Some(id) = certificate.subject_key_id() {
            fields.insert("skid".into(), hex::encode(id).into());
        }
        fields
    }
}

/// Has `parent`, an authority, signed `child`?
fn has_signed(parent: &Certificate, child: &Certificate) -> bool {
    parent.is_authority() && child.is_signed_by(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with OpenSSL: a root, an intermediate that it signed, a leaf of the intermediate.
    fn chained(name: &str, path: &[&str]) -> Chained {
        let read = |name: &str| std::fs::read_to_string(format!("tests/data/{name}.pem")).unwrap();
        let chain: Vec<String> = path.iter().map(|name| read(name)).collect();
        Chained::parse(&read(name), chain.iter().map(String::as_str)).unwrap()
    }

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[test]
    fn trust_goes_through_the_chain_and_ends_with_validity() {
        let root = chained("root", &["root"]);
        let leaf = chained("leaf", &["leaf", "intermediate", "root"]);
        let relation = root.relation_to(&leaf, NOW);
        assert_eq!((relation.trust_match, relation.path_match), (true, true));
        assert_eq!(
            (relation.signature_match, relation.subject_match),
            (false, false)
        );
        let alone = chained("leaf", &["leaf"]);
        assert!(!root.relation_to(&alone, NOW).trust_match);
        let later = Timestamp::from_secs(5_000_000_000);
        assert!(!root.relation_to(&leaf, later).trust_match);
        assert!(!leaf.relation_to(&root, NOW).trust_match);
    }

    #[test]
    fn a_direct_child_fits_in_every_way() {
        let root = chained("root", &["root"]);
        let child = chained("intermediate", &["intermediate", "root"]);
        let all = Relation {
            key_id_match: true,
            path_match: true,
            signature_match: true,
            subject_match: true,
            trust_match: true,
        };
        assert_eq!(root.relation_to(&child, NOW), all);
    }

    #[test]
    fn a_template_asks_for_the_same_again() {
        let fields = chained("intermediate", &[]).template(true);
        for (name, value) in [
            ("common_name", json!("Intermediate")),
            ("organization", json!(["Example"])),
            ("key_type", json!("ec")),
            ("key_bits", json!(256)),
            ("max_path_length", json!(0)),
            ("alt_names", json!("ca.example.com,")),
            ("ttl", json!("3153600000s")),
        ] {
            assert_eq!(fields[name], value, "{name}");
        }
        let same_key = chained("intermediate", &[]).template(false);
        assert!(same_key.contains_key("skid") && !same_key.contains_key("key_bits"));
    }
}
