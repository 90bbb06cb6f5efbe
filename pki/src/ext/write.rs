//! Extensions as bytes, one function for each.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use crate::asn1::{Writer, tag};
use crate::oid;
use crate::plan::{BasicConstraints, KeyUsage, PolicyInformation, RawExtension, SubjectAltNames};

/// RFC 5280 §4.2.1.3. Critical.
pub(crate) fn key_usage(writer: &mut Writer, usage: KeyUsage) {
    let [low, high] = usage.0.to_le_bytes().map(u8::reverse_bits);
    let octets = [low, high];
    let used = if high == 0 { 1 } else { 2 };
    let unused_bits = (if high == 0 { low } else { high }).trailing_zeros().min(7);
    extension(writer, oid::KEY_USAGE, true, |writer| {
        writer.nested(tag::BIT_STRING, |writer| {
            writer.raw(&[u8::try_from(unused_bits).unwrap_or_default()]);
            writer.raw(octets.get(..used).unwrap_or_default());
        });
    });
}

/// RFC 5280 §4.2.1.12. Not critical.
pub(crate) fn ext_key_usage(writer: &mut Writer, purposes: &[ObjectIdentifier]) {
    extension(writer, oid::EXT_KEY_USAGE, false, |writer| {
        writer.sequence(|writer| {
            for purpose in purposes {
                writer.oid(*purpose);
            }
        });
    });
}

/// RFC 5280 §4.2.1.9. Critical.
pub(crate) fn basic_constraints(writer: &mut Writer, constraints: BasicConstraints) {
    let path_len = match constraints {
        BasicConstraints::Absent => return,
        BasicConstraints::Authority { path_len } => Some(path_len),
        BasicConstraints::EndEntity => None,
    };
    extension(writer, oid::BASIC_CONSTRAINTS, true, |writer| {
        writer.sequence(|writer| {
            if let Some(path_len) = path_len {
                writer.boolean_true();
                if let Some(path_len) = path_len {
                    writer.small_unsigned(u64::from(path_len));
                }
            }
        });
    });
}

/// RFC 5280 §4.2.1.2. Not critical.
pub(crate) fn subject_key_id(writer: &mut Writer, identifier: &[u8]) {
    extension(writer, oid::SUBJECT_KEY_IDENTIFIER, false, |writer| {
        writer.octet_string(identifier);
    });
}

/// RFC 5280 §4.2.1.1, with `keyIdentifier` alone. Not critical.
pub(crate) fn authority_key_id(writer: &mut Writer, identifier: &[u8]) {
    extension(writer, oid::AUTHORITY_KEY_IDENTIFIER, false, |writer| {
        writer.sequence(|writer| writer.primitive(tag::implicit(0), identifier));
    });
}

/// RFC 5280 §4.2.2.1. Not critical.
pub(crate) fn authority_info_access(
    writer: &mut Writer,
    ocsp_servers: &[String],
    issuing_certificates: &[String],
) {
    let descriptions = ocsp_servers
        .iter()
        .map(|url| (oid::ACCESS_OCSP, url))
        .chain(
            issuing_certificates
                .iter()
                .map(|url| (oid::ACCESS_CA_ISSUERS, url)),
        );
    extension(writer, oid::AUTHORITY_INFO_ACCESS, false, |writer| {
        writer.sequence(|writer| {
            for (method, url) in descriptions {
                writer.sequence(|writer| {
                    writer.oid(method);
                    writer.primitive(URI, url.as_bytes());
                });
            }
        });
    });
}

/// RFC 5280 §4.2.1.6: otherNames, then dNSNames, rfc822Names, iPAddresses and URIs.
pub(crate) fn subject_alt_names(writer: &mut Writer, names: &SubjectAltNames, critical: bool) {
    extension(writer, oid::SUBJECT_ALT_NAME, critical, |writer| {
        writer.sequence(|writer| {
            for other in &names.others {
                writer.nested(tag::explicit(0), |writer| {
                    writer.oid(other.oid);
                    writer.nested(tag::explicit(0), |writer| {
                        writer.utf8_string(&other.value);
                    });
                });
            }
            for name in &names.dns {
                writer.primitive(DNS_NAME, name.as_bytes());
            }
            for email in &names.emails {
                writer.primitive(RFC822_NAME, email.as_bytes());
            }
            for ip in &names.ips {
                match ip {
                    IpAddr::V4(ip) => writer.primitive(IP_ADDRESS, &ip.octets()),
                    IpAddr::V6(ip) => writer.primitive(IP_ADDRESS, &ip.octets()),
                }
            }
            for uri in &names.uris {
                writer.primitive(URI, uri.as_bytes());
            }
        });
    });
}

/// RFC 5280 §4.2.1.4. Not critical.
pub(crate) fn certificate_policies(writer: &mut Writer, policies: &[PolicyInformation]) {
    extension(writer, oid::CERTIFICATE_POLICIES, false, |writer| {
        writer.sequence(|writer| {
            for policy in policies {
                writer.sequence(|writer| {
                    writer.oid(policy.oid);
                    if has_qualifiers(policy) {
                        writer.sequence(|writer| policy_qualifiers(writer, policy));
                    }
                });
            }
        });
    });
}

pub(crate) fn has_qualifiers(policy: &PolicyInformation) -> bool {
    policy.notice.is_some() || policy.cps.is_some()
}

fn policy_qualifiers(writer: &mut Writer, policy: &PolicyInformation) {
    if let Some(cps) = &policy.cps {
        writer.sequence(|writer| {
            writer.oid(oid::QUALIFIER_CPS);
            writer.ia5_string(cps);
        });
    }
    if let Some(notice) = &policy.notice {
        writer.sequence(|writer| {
            writer.oid(oid::QUALIFIER_USER_NOTICE);
            writer.sequence(|writer| writer.utf8_string(notice));
        });
    }
}

/// RFC 5280 §4.2.1.10, with permitted subtrees of type dNSName. Critical.
pub(crate) fn name_constraints(writer: &mut Writer, permitted_dns_domains: &[String]) {
    extension(writer, oid::NAME_CONSTRAINTS, true, |writer| {
        writer.sequence(|writer| {
            writer.nested(tag::explicit(0), |writer| {
                for domain in permitted_dns_domains {
                    writer.sequence(|writer| writer.primitive(DNS_NAME, domain.as_bytes()));
                }
            });
        });
    });
}

/// `CRLDistributionPoints` (RFC 5280 §4.2.1.13) or, with the same syntax, `FreshestCRL`
/// (§4.2.1.15): one point for each URL. Not critical.
pub(crate) fn distribution_points(writer: &mut Writer, oid: ObjectIdentifier, urls: &[String]) {
    extension(writer, oid, false, |writer| {
        writer.sequence(|writer| {
            for url in urls {
                writer.sequence(|writer| {
                    writer.nested(tag::explicit(0), |writer| {
                        writer.nested(tag::explicit(0), |writer| {
                            writer.primitive(URI, url.as_bytes());
                        });
                    });
                });
            }
        });
    });
}

/// `CRLNumber` (RFC 5280 §5.2.3). Not critical.
pub(crate) fn crl_number(writer: &mut Writer, number: u64) {
    extension(writer, oid::CRL_NUMBER, false, |writer| {
        writer.small_unsigned(number);
    });
}

/// `DeltaCRLIndicator` (RFC 5280 §5.2.4). Critical.
pub(crate) fn delta_crl_indicator(writer: &mut Writer, base_number: u64) {
    extension(writer, oid::DELTA_CRL_INDICATOR, true, |writer| {
        writer.small_unsigned(base_number);
    });
}

pub(crate) fn raw(writer: &mut Writer, raw: &RawExtension) {
    extension(writer, raw.oid, raw.critical, |writer| {
        writer.raw(&raw.value);
    });
}

fn extension(
    writer: &mut Writer,
    oid: ObjectIdentifier,
    critical: bool,
    value: impl FnOnce(&mut Writer),
) {
    writer.sequence(|writer| {
        writer.oid(oid);
        if critical {
            writer.boolean_true();
        }
        writer.nested(tag::OCTET_STRING, value);
    });
}

// Choices of GeneralName (RFC 5280 §4.2.1.6).
const RFC822_NAME: u8 = tag::implicit(1);
const DNS_NAME: u8 = tag::implicit(2);
const URI: u8 = tag::implicit(6);
const IP_ADDRESS: u8 = tag::implicit(7);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::asn1::Reader;
    use crate::ext::read;
    use crate::plan::OtherName;

    fn value_of(write: impl FnOnce(&mut Writer)) -> RawExtension {
        let mut writer = Writer::default();
        write(&mut writer);
        let mut extensions = read::extensions(Reader::new(writer.as_bytes())).unwrap();
        extensions.remove(0)
    }

    proptest! {
        #[test]
        fn key_usage_reads_back(bits in 1_u16..512) {
            let extension = value_of(|writer| key_usage(writer, KeyUsage(bits)));
            prop_assert_eq!(read::key_usage(&extension.value), Ok(KeyUsage(bits)));
        }

        #[test]
        fn basic_constraints_read_back(authority: bool, path_len: Option<u32>) {
            let constraints = if authority {
                BasicConstraints::Authority { path_len }
            } else {
                BasicConstraints::EndEntity
            };
            let extension = value_of(|writer| basic_constraints(writer, constraints));
            prop_assert_eq!(read::basic_constraints(&extension.value), Ok(constraints));
        }

        #[test]
        fn alternative_names_read_back(
            dns in proptest::collection::vec("[ -~]{0,200}", 0..4),
            uris in proptest::collection::vec("[ -~]{0,9}", 0..4),
            emails in proptest::collection::vec("[ -~]{0,9}", 0..4),
            ips: Vec<IpAddr>,
            values in proptest::collection::vec(".{0,9}", 0..3),
        ) {
            let oid = ObjectIdentifier::new_unwrap("1.2.3.4");
            let others = values.into_iter().map(|value| OtherName { oid, value }).collect();
            let names = SubjectAltNames { dns, emails, ips, uris, others };
            let extension = value_of(|writer| subject_alt_names(writer, &names, false));
            prop_assert_eq!(read::subject_alt_names(&extension.value), Ok(names));
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = read::extensions(Reader::new(&bytes));
            let _ = read::subject_alt_names(&bytes);
            let _ = read::key_usage(&bytes);
            let _ = read::basic_constraints(&bytes);
            let _ = read::authority_key_id(&bytes);
            let _ = read::subject_key_id(&bytes);
        }
    }

    #[test]
    fn key_usage_has_as_few_bits_as_possible() {
        let usual = value_of(|writer| key_usage(writer, KeyUsage(0b1_0101)));
        assert_eq!(usual.value, [3, 2, 3, 0xa8]);
        let decipher_only = value_of(|writer| key_usage(writer, KeyUsage(1 << 8)));
        assert_eq!(decipher_only.value, [3, 3, 7, 0, 0x80]);
    }
}
