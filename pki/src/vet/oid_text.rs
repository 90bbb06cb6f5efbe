//! Object identifiers in dotted form.

use const_oid::ObjectIdentifier;

use super::go_text::quote;

/// Reads a dotted object identifier.
pub(crate) fn parse(text: &str) -> Result<ObjectIdentifier, OidTextError> {
    for arc in text.split('.') {
        let digits = arc.strip_prefix(['-', '+']).unwrap_or(arc);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(OidTextError::NotANumber {
                arc: arc.to_owned(),
            });
        }
        if arc.parse::<i64>().is_err() {
            return Err(OidTextError::TooLarge {
                arc: arc.to_owned(),
            });
        }
    }
    ObjectIdentifier::new(text).map_err(|_| OidTextError::NotAnOid {
        text: text.to_owned(),
    })
}

/// Why a text is not an object identifier that certificates can carry here: arcs up to 2³²−1, 39
/// bytes in all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidTextError {
    #[error("strconv.Atoi: parsing {}: invalid syntax", quote(arc))]
    NotANumber { arc: String },
    #[error("cryptobyte: invalid OID: {text}")]
    NotAnOid { text: String },
    #[error("strconv.Atoi: parsing {}: value out of range", quote(arc))]
    TooLarge { arc: String },
}
