//! Certificate policies as clients write them: an OID, or a JSON object with its qualifiers.

use serde::{Deserialize, Serialize};

use super::FieldError;
use crate::{plan::PolicyInformation, vet::oid_text};

/// One policy (RFC 5280 §4.2.1.4) together with the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyIdentifier {
    text: String,
    information: PolicyInformation,
}

impl PolicyIdentifier {
    /// As written, or as compact JSON where it came out of a JSON array.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn information(&self) -> &PolicyInformation {
        &self.information
    }
}

impl TryFrom<String> for PolicyIdentifier {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        let error = |as_oid: String, as_json: String| FieldError::PolicyIdentifier {
            text: text.clone(),
            as_oid,
            as_json,
        };
        let as_oid = match oid_text::parse(&text) {
            Ok(oid) => {
                let information = PolicyInformation {
                    oid,
                    notice: None,
                    cps: None,
                };
                return Ok(Self { text, information });
            }
            Err(as_oid) => as_oid.to_string(),
        };
        let object: PolicyObject = serde_json::from_str(&text)
            .map_err(|as_json| error(as_oid.clone(), as_json.to_string()))?;
        let information = object
            .into_information()
            .map_err(|as_json| error(as_oid, as_json))?;
        Ok(Self { text, information })
    }
}

impl From<PolicyIdentifier> for String {
    fn from(identifier: PolicyIdentifier) -> Self {
        identifier.text
    }
}

/// Reads `policy_identifiers` given as a list; empty elements are dropped.
///
/// # Errors
/// [`FieldError::PolicyIdentifier`].
pub fn policy_identifiers(texts: &[String]) -> Result<Vec<PolicyIdentifier>, FieldError> {
    texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| PolicyIdentifier::try_from(text.clone()))
        .collect()
}

/// Reads `policy_identifiers` given as one string: a JSON array of objects, or a comma list.
///
/// # Errors
/// [`FieldError::PolicyIdentifier`].
pub fn policy_identifiers_from_text(text: &str) -> Result<Vec<PolicyIdentifier>, FieldError> {
    if let Ok(objects) = serde_json::from_str::<Vec<PolicyObject>>(text) {
        return objects
            .iter()
            .map(|object| PolicyIdentifier::try_from(object.to_json()))
            .collect();
    }
    let elements: Vec<String> = text
        .split(',')
        .map(|element| element.trim().to_owned())
        .collect();
    policy_identifiers(&elements)
}

#[derive(Serialize, Deserialize)]
struct PolicyObject {
    oid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cps: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    notice: String,
}

impl PolicyObject {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn into_information(self) -> Result<PolicyInformation, String> {
        if !self.cps.is_ascii() {
            return Err("cps is not a URI".to_owned());
        }
        let present = |text: String| (!text.is_empty()).then_some(text);
        Ok(PolicyInformation {
            oid: oid_text::parse(&self.oid).map_err(|error| error.to_string())?,
            notice: present(self.notice),
            cps: present(self.cps),
        })
    }
}
