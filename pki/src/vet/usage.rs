//! Key usages and extended key usages by name.

use const_oid::ObjectIdentifier;

use super::Refusal;
use crate::{
    plan::KeyUsage,
    role::{FieldError, ext_key_usage_oids},
};

/// Bits of the named usages (RFC 5280 §4.2.1.3), in any case; names that are not known have no
/// effect.
pub(super) fn key_usage(names: &[String]) -> KeyUsage {
    let bit = |name: &String| {
        let position = KEY_USAGES
            .iter()
            .position(|known| name.trim().eq_ignore_ascii_case(known))?;
        u32::try_from(position).ok()
    };
    names
        .iter()
        .filter_map(bit)
        .fold(KeyUsage::default(), |usage, position| {
            usage.union(KeyUsage(1 << position))
        })
}

/// Usage of an authority's key: to sign certificates and CRLs, and if asked for, to sign.
pub(super) fn authority_key_usage(names: &[String]) -> KeyUsage {
    let usage = KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN);
    if key_usage(names).contains(KeyUsage::DIGITAL_SIGNATURE) {
        usage.union(KeyUsage::DIGITAL_SIGNATURE)
    } else {
        usage
    }
}

/// Extended key usages (RFC 5280 §4.2.1.12): those of `flags` and `names`, each once and in a fixed
/// order, then `oids` as given. Names that are not known have no effect.
pub(super) fn ext_key_usage(
    flags: &[(bool, &str)],
    names: &[String],
    oids: &[ObjectIdentifier],
) -> Vec<ObjectIdentifier> {
    let wanted = |known: &str| {
        let flagged = flags.iter().any(|(set, name)| *set && *name == known);
        flagged
            || names
                .iter()
                .any(|name| name.trim().eq_ignore_ascii_case(known))
    };
    EXT_KEY_USAGES
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(_, oid)| *oid)
        .chain(oids.iter().copied())
        .collect()
}

/// Extended key usages where a request, not a role, names the OIDs.
pub(super) fn requested_ext_key_usage(
    names: &[String],
    oids: &[String],
) -> Result<Vec<ObjectIdentifier>, Refusal> {
    let oids =
        ext_key_usage_oids(oids).map_err(|error: FieldError| Refusal::ExtKeyUsageOid(error))?;
    Ok(ext_key_usage(&[], names, &oids))
}

pub(super) const SERVER_AUTH: &str = "serverauth";
pub(super) const CLIENT_AUTH: &str = "clientauth";
pub(super) const CODE_SIGNING: &str = "codesigning";
pub(super) const EMAIL_PROTECTION: &str = "emailprotection";

/// By bit.
const KEY_USAGES: [&str; 9] = [
    "digitalsignature",
    "contentcommitment",
    "keyencipherment",
    "dataencipherment",
    "keyagreement",
    "certsign",
    "crlsign",
    "encipheronly",
    "decipheronly",
];

/// In the order in which they are written.
const EXT_KEY_USAGES: [(&str, ObjectIdentifier); 12] = [
    ("any", ObjectIdentifier::new_unwrap("2.5.29.37.0")),
    (
        SERVER_AUTH,
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ),
    (
        CLIENT_AUTH,
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
    ),
    (
        CODE_SIGNING,
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
    ),
    (
        EMAIL_PROTECTION,
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4"),
    ),
    (
        "ipsecendsystem",
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.5"),
    ),
    (
        "ipsectunnel",
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.6"),
    ),
    (
        "ipsecuser",
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.7"),
    ),
    (
        "timestamping",
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"),
    ),
    (
        "ocspsigning",
        ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9"),
    ),
    (
        "microsoftservergatedcrypto",
        ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.3"),
    ),
    (
        "netscapeservergatedcrypto",
        ObjectIdentifier::new_unwrap("2.16.840.1.113730.4.1"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_key_usage_has_its_bit() {
        for (name, bits) in [
            ("DigitalSignature", 1),
            ("ContentCommitment", 2),
            ("keyencipherment", 4),
            ("DATAENCIPHERMENT", 8),
            (" KeyAgreement ", 16),
            ("CertSign", 32),
            ("CRLSign", 64),
            ("EncipherOnly", 128),
            ("DecipherOnly", 256),
            ("unknown", 0),
            ("", 0),
        ] {
            assert_eq!(key_usage(&names(&[name])), KeyUsage(bits), "{name}");
        }
        let default = names(&["DigitalSignature", "KeyAgreement", "KeyEncipherment"]);
        assert_eq!(key_usage(&default), KeyUsage(0b1_0101));
    }

    #[test]
    fn an_authority_keeps_only_digital_signature_of_what_is_asked() {
        assert_eq!(authority_key_usage(&[]), KeyUsage(0b110_0000));
        let asked = names(&["DigitalSignature", "KeyAgreement"]);
        assert_eq!(authority_key_usage(&asked), KeyUsage(0b110_0001));
    }

    #[test]
    fn extended_usages_are_written_once_and_in_a_fixed_order() {
        let oid = ObjectIdentifier::new_unwrap("1.2.3");
        let usages = ext_key_usage(
            &[(true, SERVER_AUTH), (false, CODE_SIGNING)],
            &names(&["OCSPSigning", "ClientAuth", "serverAuth", "bogus", "Any"]),
            &[oid],
        );
        let usages: Vec<String> = usages.iter().map(ToString::to_string).collect();
        assert_eq!(
            usages,
            [
                "2.5.29.37.0",
                "1.3.6.1.5.5.7.3.1",
                "1.3.6.1.5.5.7.3.2",
                "1.3.6.1.5.5.7.3.9",
                "1.2.3"
            ]
        );
    }
}
