//! What there is to say about a client's certificate.

use der::asn1::{
    AnyRef, BmpString, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use der::{Decode as _, Tag, Tagged as _};
use signet_pki::cert::Certificate;
use signet_pki::serial::SerialNumber;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, ExtendedKeyUsage};
use x509_cert::name::Name;

use der::asn1::ObjectIdentifier;

const AUTHORITY_INFO_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const ACCESS_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CLIENT_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// Names in the subject. Values that are no text are left out.
#[derive(Debug, Default)]
pub(super) struct Subject {
    /// Of several the last. Empty if absent.
    pub(super) common_name: String,
    pub(super) organizational_units: Vec<String>,
}

impl Subject {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let mut subject = Self::default();
        let Ok(name) = Name::from_der(certificate.subject_der()) else {
            return subject;
        };
        for attribute in name.iter() {
            let text = || text_of(AnyRef::from(&attribute.value));
            match attribute.oid {
                COMMON_NAME => subject.common_name = text().unwrap_or_default(),
                ORGANIZATIONAL_UNIT => subject.organizational_units.extend(text()),
                _ => {}
            }
        }
        subject
    }
}

/// A string of any of ASN.1's types.
pub(super) fn text_of(value: AnyRef<'_>) -> Option<String> {
    Some(match value.tag() {
        Tag::BmpString => value.decode_as::<BmpString>().ok()?.to_string(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.to_string(),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()?
            .to_string(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.to_string(),
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.to_string(),
        _ => return None,
    })
}

/// The value of an extension, which has to be a string.
pub(super) fn extension_text(certificate: &Certificate, oid: &str) -> Option<String> {
    text_of(AnyRef::from_der(extension(certificate, oid)?).ok()?)
}

/// The DER of an extension's value.
pub(super) fn extension<'c>(certificate: &'c Certificate, oid: &str) -> Option<&'c [u8]> {
    certificate.extension_value(ObjectIdentifier::new(oid).ok()?)
}

/// The responders that it names (RFC 5280 §4.2.2.1).
pub(super) fn ocsp_servers(certificate: &Certificate) -> Vec<String> {
    let access = certificate
        .extension_value(AUTHORITY_INFO_ACCESS)
        .and_then(|value| AuthorityInfoAccessSyntax::from_der(value).ok());
    let descriptions = access.map(|access| access.0).unwrap_or_default();
    descriptions
        .into_iter()
        .filter(|description| description.access_method == ACCESS_OCSP)
        .filter_map(|description| match description.access_location {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        })
        .collect()
}

/// May its key prove who a TLS client is? Without the extension it may do anything.
pub(super) fn allows_client_authentication(certificate: &Certificate) -> bool {
    let Some(value) = certificate.extension_value(EXTENDED_KEY_USAGE) else {
        return true;
    };
    ExtendedKeyUsage::from_der(value).is_ok_and(|usages| {
        let is_good =
            |usage: &ObjectIdentifier| *usage == CLIENT_AUTHENTICATION || *usage == ANY_USAGE;
        usages.0.iter().any(is_good)
    })
}

/// A serial number as people do not write it, but clients of this API know it.
pub(super) fn decimal(serial: SerialNumber) -> String {
    // Least significant first.
    let mut digits: Vec<u8> = Vec::new();
    for byte in serial.as_bytes() {
        let mut carry = u16::from(*byte);
        for digit in &mut digits {
            let value = u16::from(*digit) * 256 + carry;
            *digit = u8::try_from(value % 10).unwrap_or_default();
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
    }
    if digits.is_empty() {
        return "0".to_owned();
    }
    let digits = digits.iter().rev();
    digits.map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_shown_in_decimal() {
        for (hex, expected) in [
            ("00", "0"),
            ("09", "9"),
            ("0a", "10"),
            ("0100", "256"),
            ("ffffffffffffffff", "18446744073709551615"),
            (
                "10ca0dbb01c336ae66fac521e31eb5f93ef64b92",
                "95849798958147180311908306218238920924807449490",
            ),
        ] {
            let serial = SerialNumber::from_magnitude(&hex::decode(hex).unwrap()).unwrap();
            assert_eq!(decimal(serial), expected, "{hex}");
        }
    }
}
