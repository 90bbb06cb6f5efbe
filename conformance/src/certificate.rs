//! What can be compared of certificates, requests and revocation lists that are new in every run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::extensions::{
    DistributionPointName, ExtendedKeyUsage, ParsedExtension, X509Extension,
};
use x509_parser::oid_registry::{OID_X509_EXT_DELTA_CRL_INDICATOR, Oid};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Later ones are the far future that some requests ask for.
const YEAR_2100: i64 = 4_102_444_800;
const DAY_SECONDS: i64 = 86_400;

/// The certificates of authorities that a case has shown.
#[derive(Debug, Default)]
pub(crate) struct Authorities(Vec<Vec<u8>>);

impl Authorities {
    fn remember(&mut self, der: &[u8], certificate: &X509Certificate<'_>) {
        if certificate.is_ca() && !self.0.iter().any(|known| known == der) {
            self.0.push(der.to_vec());
        }
    }

    /// "unknown" when the issuer has not been seen or its algorithm cannot be checked.
    fn check(
        &self,
        issuer: &[u8],
        verify: impl Fn(&X509Certificate<'_>) -> Result<(), X509Error>,
    ) -> &'static str {
        let mut verdict = "unknown";
        for der in &self.0 {
            let Ok((_, authority)) = X509Certificate::from_der(der) else {
                continue;
            };
            if authority.subject().as_raw() != issuer {
                continue;
            }
            match verify(&authority) {
                Ok(()) => return "valid",
                Err(X509Error::SignatureVerificationError) => verdict = "by another key",
                Err(_) => {}
            }
        }
        verdict
    }
}

/// A digest of a text made of PEM blocks, or of one DER object in base64; `None` for other texts.
pub(crate) fn digest(text: &str, authorities: &mut Authorities) -> Option<Value> {
    if text.contains("-----BEGIN ") {
        let mut blocks = Vec::new();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.ok()?;
            blocks.push(match block.label.as_str() {
                "CERTIFICATE" | "CERTIFICATE REQUEST" | "X509 CRL" => {
                    der_digest(&block.contents, authorities)
                        .unwrap_or_else(|| json!({"malformed": block.label}))
                }
                label => json!(label),
            });
        }
        return Some(json!({"pem": blocks, "final newline": text.ends_with('\n')}));
    }
    let der = STANDARD.decode(text).ok().filter(|der| is_der(der))?;
    let digest = der_digest(&der, authorities).unwrap_or_else(|| json!("private key"));
    Some(json!({"base64": digest}))
}

/// One sequence, long enough to be no accident.
fn is_der(bytes: &[u8]) -> bool {
    bytes.len() > 40 && matches!(element(bytes), Some((0x30, _, after)) if after.is_empty())
}

/// A digest of a DER certificate, request or revocation list.
pub(crate) fn der_digest(der: &[u8], authorities: &mut Authorities) -> Option<Value> {
    if let Ok((_, certificate)) = X509Certificate::from_der(der) {
        authorities.remember(der, &certificate);
        return Some(json!({"certificate": certificate_digest(&certificate, authorities)}));
    }
    if let Ok((_, request)) = X509CertificationRequest::from_der(der) {
        return Some(json!({"request": request_digest(&request)}));
    }
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    Some(json!({"revocation list": list_digest(&list, authorities)}))
}

fn certificate_digest(certificate: &X509Certificate<'_>, authorities: &Authorities) -> Value {
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    // A year or a date at midnight was asked for by name.
    let length = if until > YEAR_2100 || until % DAY_SECONDS == 0 {
        json!(validity.not_after.to_string())
    } else {
        json!(about(until - from))
    };
    let signature = authorities.check(certificate.issuer().as_raw(), |authority| {
        certificate.verify_signature(Some(authority.public_key()))
    });
    json!({
        "version": certificate.version().0 + 1,
        "subject": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "valid seconds": length,
        "key": key(certificate.public_key()),
        "signed with": algorithm(&certificate.signature_algorithm),
        "signature": signature,
        "extensions": extensions(certificate.extensions()),
    })
}

fn request_digest(request: &X509CertificationRequest<'_>) -> Value {
    let info = &request.certification_request_info;
    let requested: Vec<String> = request
        .requested_extensions()
        .map(|found| found.map(parsed).collect())
        .unwrap_or_default();
    json!({
        "subject": info.subject.to_string(),
        "key": key(&info.subject_pki),
        "signed with": algorithm(&request.signature_algorithm),
        "extensions": requested,
    })
}

fn list_digest(list: &CertificateRevocationList<'_>, authorities: &Authorities) -> Value {
    let from = list.last_update().timestamp();
    let signature = authorities.check(list.issuer().as_raw(), |authority| {
        list.verify_signature(authority.public_key())
    });
    json!({
        "issuer": list.issuer().to_string(),
        "valid seconds": list.next_update().map(|until| about(until.timestamp() - from)),
        "signed with": algorithm(&list.signature_algorithm),
        "signature": signature,
        "revoked": list.iter_revoked_certificates().map(|revoked| {
            extensions(revoked.extensions())
        }).collect::<Vec<_>>(),
        "extensions": extensions(list.extensions()),
    })
}

/// Two times are taken one after the other, which may be in two seconds.
fn about(seconds: i64) -> i64 {
    (seconds + 5).div_euclid(10) * 10
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        _ => key.algorithm.algorithm.to_id_string(),
    }
}

fn algorithm(identifier: &AlgorithmIdentifier<'_>) -> String {
    let parameters = identifier
        .parameters
        .as_ref()
        .map(|parameters| format!(" {}", hex::encode(parameters.data)))
        .filter(|parameters| parameters.len() > 1)
        .unwrap_or_default();
    format!("{}{parameters}", identifier.algorithm.to_id_string())
}

fn extensions(found: &[X509Extension<'_>]) -> Vec<String> {
    found
        .iter()
        .map(|extension| {
            let critical = if extension.critical { " critical" } else { "" };
            let content = match extension.parsed_extension() {
                ParsedExtension::UnsupportedExtension { .. }
                    if extension.oid == OID_X509_EXT_DELTA_CRL_INDICATOR =>
                {
                    "number of the complete list".to_owned()
                }
                ParsedExtension::UnsupportedExtension { .. } => {
                    format!(
                        "{} {}",
                        extension.oid.to_id_string(),
                        hex::encode(extension.value)
                    )
                }
                other => parsed(other),
            };
            format!("{content}{critical}")
        })
        .collect()
}

fn parsed(extension: &ParsedExtension<'_>) -> String {
    match extension {
        ParsedExtension::SubjectKeyIdentifier(id) => format!("subject key, {} bytes", id.0.len()),
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            let length = id.key_identifier.as_ref().map_or(0, |id| id.0.len());
            let names = id.authority_cert_issuer.as_ref().map_or(0, Vec::len);
            format!("authority key, {length} bytes, {names} names")
        }
        ParsedExtension::KeyUsage(usage) => format!("usage: {usage}"),
        ParsedExtension::BasicConstraints(constraints) => format!(
            "authority: {}, path length {:?}",
            constraints.ca, constraints.path_len_constraint
        ),
        ParsedExtension::SubjectAlternativeName(names) => {
            let names: Vec<String> = names
                .general_names
                .iter()
                .map(ToString::to_string)
                .collect();
            format!("names: {}", names.join(" "))
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            let places: Vec<String> = access
                .iter()
                .map(|place| {
                    format!(
                        "{} {}",
                        place.access_method.to_id_string(),
                        place.access_location
                    )
                })
                .collect();
            format!("authority information: {}", places.join(" "))
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            let mut places = Vec::new();
            for point in points.iter() {
                if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                    places.extend(names.iter().map(ToString::to_string));
                }
            }
            format!("revocation lists: {}", places.join(" "))
        }
        ParsedExtension::ExtendedKeyUsage(usage) => format!("purposes: {}", purposes(usage)),
        // How high the number is depends on how often a server builds its lists.
        ParsedExtension::CRLNumber(_) => "number".to_owned(),
        other => format!("{other:?}"),
    }
}

fn purposes(usage: &ExtendedKeyUsage<'_>) -> String {
    let known = [
        (usage.any, "any"),
        (usage.server_auth, "server"),
        (usage.client_auth, "client"),
        (usage.code_signing, "code"),
        (usage.email_protection, "email"),
        (usage.time_stamping, "time"),
        (usage.ocsp_signing, "ocsp"),
    ];
    let known = known
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| name.to_owned());
    let others = usage.other.iter().map(Oid::to_id_string);
    known.chain(others).collect::<Vec<_>>().join(" ")
}

/// The tree of any DER object, without times, signatures and other long values.
pub(crate) fn outline(der: &[u8]) -> Vec<Value> {
    let mut nodes = Vec::new();
    let mut rest = der;
    while let Some((tag, content, after)) = element(rest) {
        nodes.push(match tag {
            0x17 | 0x18 => json!("time"),
            _ if tag & 0x20 != 0 => json!({ format!("{tag:02x}"): outline(content) }),
            // An octet string that holds DER, as in OCSP.
            0x04 if content.len() > 64 => json!({ "04": outline(content) }),
            // The length of an ECDSA signature varies by a few bytes.
            0x03 if content.len() > 64 => json!("03 signature or key"),
            _ if content.len() > 64 => json!(format!("{tag:02x} {} bytes", content.len())),
            _ => json!(format!("{tag:02x} {}", hex::encode(content))),
        });
        rest = after;
    }
    nodes
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = bytes
                .iter()
                .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_ordinary_text_alone() {
        assert_eq!(digest("no certificate", &mut Authorities::default()), None);
    }

    #[test]
    fn outlines_nested_elements() {
        let der = [0x30, 0x05, 0x0a, 0x01, 0x00, 0x17, 0x00];
        assert_eq!(outline(&der), [json!({"30": ["0a 00", "time"]})]);
        assert!(outline(&[0x30, 0x85, 1]).is_empty());
    }
}
