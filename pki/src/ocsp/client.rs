//! Asking a responder, and judging what it answers (RFC 6960 §3.2 and §4.2.2).

use thiserror::Error;

use super::{CertId, CertStatus, OcspRequest};
use crate::asn1::{Element, Malformed, Reader, Writer, tag};
use crate::cert::Certificate;
use crate::ext::read;
use crate::key::{Hash, SignatureAlgorithm};
use crate::oid;
use crate::serial::SerialNumber;
use crate::time::UnixTime;

/// What a responder says of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: CertStatus,
    /// Until when the answer may be kept. `None`: for this one question.
    pub next_update: Option<UnixTime>,
}

/// Why an answer says nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AnswerError {
    #[error("OCSP response cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// `OCSPResponseStatus` (RFC 6960 §4.2.1): 1 malformedRequest, 2 internalError, 3 tryLater,
    /// 5 sigRequired, 6 unauthorized.
    #[error("OCSP responder refuses to answer, with status {0}")]
    Refused(u64),
    #[error("OCSP response says nothing of the certificate that was asked about")]
    OtherCertificate,
    #[error(
        "OCSP response is not signed by the issuer, its delegate or a responder that is trusted"
    )]
    Untrusted,
    #[error("OCSP response is too old, or not valid yet")]
    NotCurrent,
}

/// How far clocks may be apart, and how old an answer without an end may be.
const LEEWAY_SECS: i64 = 300;

/// Certificates that are taken from a response.
const MAX_CERTIFICATES: usize = 8;

impl CertId {
    /// Under SHA-1, which every responder knows (RFC 5019 §2.1.1): it names, and protects nothing.
    #[must_use]
    pub fn new(issuer: &Certificate, serial: SerialNumber) -> Self {
        let hash = Hash::Sha1;
        let name = hash.digest(issuer.subject_der()).as_ref().to_vec();
        let key = issuer.public_key().subject_public_key();
        let key = hash.digest(key).as_ref().to_vec();
        let mut writer = Writer::with_capacity(96);
        writer.sequence(|writer| {
            writer.sequence(|writer| {
                writer.oid(hash.oid());
                writer.null();
            });
            writer.octet_string(&name);
            writer.octet_string(&key);
            writer.unsigned(serial.as_bytes());
        });
        Self {
            der: writer.into_bytes(),
            hash: Some(hash),
            issuer_name_hash: name,
            issuer_key_hash: key,
            serial,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.issuer_name_hash == other.issuer_name_hash
            && self.issuer_key_hash == other.issuer_key_hash
            && self.serial == other.serial
    }
}

impl OcspRequest {
    /// DER of a request without a nonce, so that a responder may answer what it has at hand.
    #[must_use]
    pub fn about(cert_id: &CertId) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128);
        writer.sequence(|writer| {
            writer.sequence(|writer| {
                writer.sequence(|writer| {
                    writer.sequence(|writer| writer.raw(cert_id.der()));
                });
            });
        });
        writer.into_bytes()
    }
}

impl Answer {
    /// Reads a response about `cert_id`, whose issuer is `issuer`. It has to be signed by the issuer,
    /// by a certificate in it that the issuer made for OCSP, or by one of `responders`.
    ///
    /// # Errors
    /// Every variant of [`AnswerError`]; none of them means that the certificate is revoked.
    pub fn read(
        der: &[u8],
        cert_id: &CertId,
        issuer: &Certificate,
        responders: &[Certificate],
        now: UnixTime,
    ) -> Result<Self, AnswerError> {
        let basic = basic_response(der)?;
        let mut reader = Reader::inside(basic, tag::SEQUENCE)?;
        let data = reader.take(tag::SEQUENCE)?;
        let algorithm = reader.take(tag::SEQUENCE)?.whole;
        let signature = reader.bit_string()?;
        let certificates = match reader.optional(tag::explicit(0))? {
            Some(explicit) => certificates(&explicit)?,
            None => Vec::new(),
        };
        reader.finish()?;

        let algorithm =
            SignatureAlgorithm::from_identifier(algorithm).map_err(|_| AnswerError::Untrusted)?;
        let delegates = certificates
            .iter()
            .filter(|certificate| is_delegate(certificate, issuer, now));
        let is_signed = std::iter::once(issuer)
            .chain(responders)
            .chain(delegates)
            .any(|signer| {
                let key = signer.public_key();
                key.verify(algorithm, data.whole, signature).is_ok()
            });
        if !is_signed {
            return Err(AnswerError::Untrusted);
        }
        let (answer, this_update) = single_response(&data, cert_id)?;
        let is_current = this_update.0 <= now.0.saturating_add(LEEWAY_SECS)
            && answer
                .next_update
                .unwrap_or(this_update)
                .0
                .saturating_add(LEEWAY_SECS)
                >= now.0;
        if is_current {
            Ok(answer)
        } else {
            Err(AnswerError::NotCurrent)
        }
    }
}

/// The `BasicOCSPResponse` in a successful response.
fn basic_response(der: &[u8]) -> Result<&[u8], AnswerError> {
    let mut outer = Reader::inside(der, tag::SEQUENCE)?;
    let status = outer.take(tag::ENUMERATED)?.small_unsigned()?;
    if status != 0 {
        return Err(AnswerError::Refused(status));
    }
    let mut bytes = outer.nested(tag::explicit(0))?.sequence()?;
    if bytes.oid()? != oid::OCSP_BASIC {
        return Err(Malformed("response is of an unknown type").into());
    }
    let basic = bytes.take(tag::OCTET_STRING)?.content;
    bytes.finish()?;
    outer.finish()?;
    Ok(basic)
}

/// Those that can be read.
fn certificates(explicit: &Element<'_>) -> Result<Vec<Certificate>, Malformed> {
    let mut list = explicit.reader().sequence()?;
    let mut certificates = Vec::new();
    for _ in 0..MAX_CERTIFICATES {
        if list.is_empty() {
            break;
        }
        let der = list.take(tag::SEQUENCE)?.whole.to_vec();
        certificates.extend(Certificate::parse_der(der));
    }
    Ok(certificates)
}

/// An authorized responder (RFC 6960 §4.2.2.2).
fn is_delegate(certificate: &Certificate, issuer: &Certificate, now: UnixTime) -> bool {
    let validity = certificate.validity();
    let is_for_ocsp = certificate
        .extension_value(oid::EXT_KEY_USAGE)
        .is_some_and(|value| lists(value, oid::KEY_PURPOSE_OCSP_SIGNING).unwrap_or(false));
    is_for_ocsp
        && (validity.not_before.0..=validity.not_after.0).contains(&now.0)
        && certificate.is_signed_by(issuer)
}

fn lists(usages: &[u8], usage: const_oid::ObjectIdentifier) -> Result<bool, Malformed> {
    let mut usages = Reader::inside(usages, tag::SEQUENCE)?;
    while !usages.is_empty() {
        if usages.oid()? == usage {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What `ResponseData` says of the certificate, and since when.
fn single_response(
    data: &Element<'_>,
    cert_id: &CertId,
) -> Result<(Answer, UnixTime), AnswerError> {
    let mut data = data.reader();
    data.optional(tag::explicit(0))?;
    // The responder's name or key: its signature says more.
    data.next()?;
    data.take(tag::GENERALIZED_TIME)?;
    let mut responses = data.sequence()?;
    if let Some(extensions) = data.optional(tag::explicit(1))? {
        refuse_critical(&extensions)?;
    }
    data.finish()?;
    while !responses.is_empty() {
        let mut single = responses.sequence()?;
        let about = super::read_cert_id(single.take(tag::SEQUENCE)?.whole)?;
        if !about.is_same(cert_id) {
            continue;
        }
        let status = status(&single.next()?)?;
        let this_update = single.take(tag::GENERALIZED_TIME)?.time()?;
        let next_update = match single.optional(tag::explicit(0))? {
            Some(explicit) => Some(explicit.reader().take(tag::GENERALIZED_TIME)?.time()?),
            None => None,
        };
        if let Some(extensions) = single.optional(tag::explicit(1))? {
            refuse_critical(&extensions)?;
        }
        single.finish()?;
        let answer = Answer {
            status,
            next_update,
        };
        return Ok((answer, this_update));
    }
    Err(AnswerError::OtherCertificate)
}

fn status(element: &Element<'_>) -> Result<CertStatus, Malformed> {
    match element.tag {
        GOOD => Ok(CertStatus::Good),
        REVOKED => {
            let at = element.reader().take(tag::GENERALIZED_TIME)?.time()?;
            Ok(CertStatus::Revoked { at })
        }
        UNKNOWN => Ok(CertStatus::Unknown),
        _ => Err(Malformed("unknown status of a certificate")),
    }
}

const GOOD: u8 = tag::implicit(0);
const REVOKED: u8 = tag::explicit(1);
const UNKNOWN: u8 = tag::implicit(2);

/// None is understood here (RFC 5280 §4.2).
fn refuse_critical(explicit: &Element<'_>) -> Result<(), Malformed> {
    let extensions = read::extensions(explicit.reader().sequence()?)?;
    if extensions.iter().any(|extension| extension.critical) {
        return Err(Malformed("unknown critical extension"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::issuer::Issuer;
    use crate::judges::{NOW, P256, issue, leaf_plan, root};
    use crate::key::PrivateKey;
    use crate::ocsp::{OcspResponse, SingleResponse};

    const DAY: i64 = 24 * 3600;

    fn serial() -> SerialNumber {
        SerialNumber::new(1, [7; 14])
    }

    fn response(signer: &Issuer, cert_id: &CertId, status: CertStatus) -> Vec<u8> {
        let single = SingleResponse {
            cert_id,
            status,
            this_update: NOW,
            next_update: Some(NOW.plus_secs(DAY)),
        };
        let response = OcspResponse {
            responses: &[single],
            produced_at: NOW,
            nonce: None,
            algorithm: None,
        };
        response.sign(signer).unwrap()
    }

    fn read(der: &[u8], cert_id: &CertId, issuer: &Issuer) -> Result<Answer, AnswerError> {
        Answer::read(der, cert_id, issuer.certificate(), &[], NOW)
    }

    #[test]
    fn our_responder_understands_our_question() {
        let issuer = root(P256);
        let cert_id = CertId::new(issuer.certificate(), serial());
        let request = OcspRequest::parse_der(&OcspRequest::about(&cert_id)).unwrap();
        assert_eq!(request.cert_ids, [cert_id]);
        assert!(request.cert_ids[0].names_issuer(issuer.certificate()));
    }

    #[test]
    fn reads_every_status_that_the_issuer_signs() {
        let issuer = root(P256);
        let cert_id = CertId::new(issuer.certificate(), serial());
        for status in [
            CertStatus::Good,
            CertStatus::Revoked { at: NOW },
            CertStatus::Unknown,
        ] {
            let answer = read(&response(&issuer, &cert_id, status), &cert_id, &issuer).unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(answer.next_update, Some(NOW.plus_secs(DAY)));
        }
    }

    #[test]
    fn a_stranger_s_signature_says_nothing_unless_it_is_trusted() {
        let (issuer, stranger) = (root(P256), root(P256));
        let cert_id = CertId::new(issuer.certificate(), serial());
        let der = response(&stranger, &cert_id, CertStatus::Good);
        assert_eq!(read(&der, &cert_id, &issuer), Err(AnswerError::Untrusted));
        let trusted = [stranger.certificate().clone()];
        let answer = Answer::read(&der, &cert_id, issuer.certificate(), &trusted, NOW).unwrap();
        assert_eq!(answer.status, CertStatus::Good);
    }

    #[test]
    fn an_answer_about_another_certificate_or_from_another_time_says_nothing() {
        let issuer = root(P256);
        let cert_id = CertId::new(issuer.certificate(), serial());
        let other = CertId::new(issuer.certificate(), SerialNumber::new(2, [7; 14]));
        let der = response(&issuer, &cert_id, CertStatus::Good);
        assert_eq!(
            read(&der, &other, &issuer),
            Err(AnswerError::OtherCertificate)
        );
        for now in [NOW.plus_secs(-DAY), NOW.plus_secs(2 * DAY)] {
            let read = Answer::read(&der, &cert_id, issuer.certificate(), &[], now);
            assert_eq!(read, Err(AnswerError::NotCurrent));
        }
    }

    #[test]
    fn a_responder_that_refuses_says_nothing() {
        let issuer = root(P256);
        let cert_id = CertId::new(issuer.certificate(), serial());
        assert_eq!(
            read(crate::ocsp::UNAUTHORIZED, &cert_id, &issuer),
            Err(AnswerError::Refused(6))
        );
    }

    #[test]
    fn only_certificates_made_for_ocsp_by_the_issuer_are_delegates() {
        let (issuer, stranger) = (root(P256), root(P256));
        let key = PrivateKey::generate(P256).unwrap();
        let mut plan = leaf_plan("ocsp.example.com");
        let web = issue(&issuer, plan.clone(), key.public_key(), 3);
        plan.ext_key_usage = vec![oid::KEY_PURPOSE_OCSP_SIGNING];
        let delegate = issue(&issuer, plan, key.public_key(), 4);
        assert!(is_delegate(&delegate, issuer.certificate(), NOW));
        assert!(!is_delegate(&web, issuer.certificate(), NOW));
        assert!(!is_delegate(&delegate, stranger.certificate(), NOW));
        assert!(!is_delegate(&delegate, issuer.certificate(), UnixTime(0)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let issuer = root(P256);
            let cert_id = CertId::new(issuer.certificate(), serial());
            let _ = read(&bytes, &cert_id, &issuer);
        }

        #[test]
        fn a_damaged_response_never_says_good(position: prop::sample::Index, octet: u8) {
            let issuer = root(P256);
            let cert_id = CertId::new(issuer.certificate(), serial());
            let mut der = response(&issuer, &cert_id, CertStatus::Revoked { at: NOW });
            let at = position.index(der.len());
            der[at] = octet;
            if let Ok(answer) = read(&der, &cert_id, &issuer) {
                prop_assert_eq!(answer.status, CertStatus::Revoked { at: NOW });
            }
        }
    }
}
