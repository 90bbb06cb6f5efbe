//! What a role wants to see in a certificate besides the signature.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_pki::cert::Certificate;

use crate::glob;

use super::describe::{Subject, extension, extension_text};
use super::role::list_or_null;

/// Patterns, in which `*` stands for any text. An empty list asks for nothing; of one that is not
/// empty, one pattern has to match; of the extensions, all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Constraints {
    pub(super) common_names: Vec<String>,
    pub(super) dns_names: Vec<String>,
    pub(super) emails: Vec<String>,
    /// `oid:pattern`, or `hex:oid:pattern` for the DER in hexadecimal.
    pub(super) extensions: Vec<String>,
    /// Of the common name, DNS names and email addresses.
    pub(super) names: Vec<String>,
    pub(super) organizational_units: Vec<String>,
    pub(super) uris: Vec<String>,
}

impl Constraints {
    pub(super) fn allow(&self, certificate: &Certificate, subject: &Subject) -> bool {
        let Ok(alternative) = certificate.subject_alt_names() else {
            return false;
        };
        let common_name = std::slice::from_ref(&subject.common_name);
        let anything = [common_name, &alternative.dns, &alternative.emails].concat();
        [
            (&self.common_names, common_name),
            (&self.dns_names, &alternative.dns),
            (&self.emails, &alternative.emails),
            (&self.names, &anything),
            (&self.organizational_units, &subject.organizational_units),
            (&self.uris, &alternative.uris),
        ]
        .into_iter()
        .all(|(patterns, values)| patterns.is_empty() || any_matches(patterns, values))
            && self
                .extensions
                .iter()
                .all(|required| has_extension(certificate, required))
    }

    /// What reading the role shows.
    pub(super) fn shown(&self) -> Map<String, Value> {
        [
            ("allowed_common_names", &self.common_names),
            ("allowed_dns_sans", &self.dns_names),
            ("allowed_email_sans", &self.emails),
            ("allowed_names", &self.names),
            ("allowed_organizational_units", &self.organizational_units),
            ("allowed_uri_sans", &self.uris),
            ("required_extensions", &self.extensions),
        ]
        .into_iter()
        .map(|(name, list)| (name.to_owned(), list_or_null(list)))
        .collect()
    }
}

fn any_matches(patterns: &[String], values: &[String]) -> bool {
    patterns
        .iter()
        .any(|pattern| values.iter().any(|value| glob::matches(pattern, value)))
}

fn has_extension(certificate: &Certificate, required: &str) -> bool {
    let (found, pattern) = match required.split_once(':') {
        Some(("hex", rest)) => match rest.split_once(':') {
            Some((oid, pattern)) => (
                extension(certificate, oid).map(hex::encode),
                pattern.to_lowercase(),
            ),
            None => return false,
        },
        Some((oid, pattern)) => (extension_text(certificate, oid), pattern.to_owned()),
        None => return false,
    };
    found.is_some_and(|value| glob::matches(&pattern, &value))
}
