//! Reads back what was signed and compares it with what was planned, so that a fault of the writer
//! cannot become a certificate.

use super::Certificate;
use super::build::Signer;
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::plan::{KeyUsage, Plan, SubjectAltNames};
use crate::serial::SerialNumber;

/// Field of a signed certificate that is not as planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}")]
pub struct Mismatch {
    pub field: &'static str,
}

/// What a certificate should say.
pub(super) struct Expected<'a> {
    pub(super) serial: SerialNumber,
    pub(super) subject: &'a [u8],
    pub(super) subject_key_id: &'a [u8],
    pub(super) plan: &'a Plan,
    pub(super) public_key: &'a PublicKey,
    pub(super) signer: &'a Signer<'a>,
    pub(super) algorithm: SignatureAlgorithm,
}

pub(super) fn read_back(der: Vec<u8>, expected: &Expected<'_>) -> Result<Certificate, Mismatch> {
    let certificate = Certificate::parse_der(der).map_err(|_| Mismatch { field: "encoding" })?;
    for (field, same) in [
        ("version", certificate.version() == 3),
        ("serial number", certificate.serial() == expected.serial),
        (
            "signature algorithm",
            certificate.signature_algorithm() == Some(expected.algorithm),
        ),
        ("issuer", certificate.issuer_der() == &*expected.signer.name),
        ("validity", certificate.validity() == expected.plan.validity),
        ("subject", certificate.subject_der() == expected.subject),
        (
            "public key",
            certificate.public_key() == expected.public_key,
        ),
        ("extensions", extensions_match(&certificate, expected)),
        (
            "subject alternative names",
            names_match(&certificate, expected.plan),
        ),
        ("signature", signature_holds(&certificate, expected)),
    ] {
        if !same {
            return Err(Mismatch { field });
        }
    }
    Ok(certificate)
}

fn extensions_match(certificate: &Certificate, expected: &Expected<'_>) -> bool {
    let plan = expected.plan;
    let copied = |oid| {
        plan.copied_extensions
            .iter()
            .any(|extension| extension.oid == oid)
    };
    let key_usage = Some(plan.key_usage).filter(|usage| usage.0 != 0);
    let presence_agrees =
        |oid, planned: bool| certificate.extension_value(oid).is_some() == planned;
    plan.copied_extensions
        .iter()
        .all(|extension| certificate.extensions().contains(extension))
        && (copied(oid::KEY_USAGE) || certificate.key_usage() == key_usage)
        && (copied(oid::BASIC_CONSTRAINTS)
            || certificate.basic_constraints() == plan.basic_constraints)
        && (copied(oid::SUBJECT_KEY_IDENTIFIER)
            || certificate.subject_key_id() == Some(expected.subject_key_id))
        && (copied(oid::AUTHORITY_KEY_IDENTIFIER)
            || certificate.authority_key_id() == Some(&*expected.signer.key_id))
        && (copied(oid::EXT_KEY_USAGE)
            || presence_agrees(oid::EXT_KEY_USAGE, !plan.ext_key_usage.is_empty()))
        && (copied(oid::NAME_CONSTRAINTS)
            || presence_agrees(
                oid::NAME_CONSTRAINTS,
                !plan.permitted_dns_domains.is_empty(),
            ))
        && (copied(oid::CERTIFICATE_POLICIES)
            || presence_agrees(oid::CERTIFICATE_POLICIES, !plan.policies.is_empty()))
}

fn names_match(certificate: &Certificate, plan: &Plan) -> bool {
    let copied = plan
        .copied_extensions
        .iter()
        .any(|extension| extension.oid == oid::SUBJECT_ALT_NAME);
    let present = certificate.extension_value(oid::SUBJECT_ALT_NAME).is_some();
    copied
        || (present == (plan.sans != SubjectAltNames::default())
            && certificate.subject_alt_names().as_ref() == Ok(&plan.sans))
}

/// Checking an ECDSA signature costs three times as much as making it, and the library checks each
/// RSA signature itself before it gives it out (a faulty one would reveal the key). So only
/// certificates of authorities are checked, which are few and last.
fn signature_holds(certificate: &Certificate, expected: &Expected<'_>) -> bool {
    let precious =
        certificate.is_authority() || expected.plan.key_usage.contains(KeyUsage::KEY_CERT_SIGN);
    let key = expected.signer.key.public_key();
    !precious || certificate.verify_signature(key).is_ok()
}
