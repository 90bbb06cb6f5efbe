//! The online certificate status protocol (RFC 6960).

mod client;

use crate::asn1::{Malformed, Reader, Writer, tag};
use crate::cert::Certificate;
use crate::ext::{read, write};
use crate::issuer::Issuer;
use crate::key::{Hash, KeyError, SignatureAlgorithm};
use crate::oid;
use crate::plan::RawExtension;
use crate::serial::SerialNumber;
use crate::time::UnixTime;

pub use client::{Answer, AnswerError};

/// A question about certificates. Its signature, if any, is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    /// At least one.
    pub cert_ids: Vec<CertId>,
    /// Content of the nonce extension's `extnValue`.
    pub nonce: Option<Vec<u8>>,
}

/// Which certificate is asked about (RFC 6960 §4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// As asked, because the response has to repeat it.
    der: Vec<u8>,
    /// `None` if the hash is not known.
    pub hash: Option<Hash>,
    pub issuer_name_hash: Vec<u8>,
    pub issuer_key_hash: Vec<u8>,
    pub serial: SerialNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    Good,
    /// Without a reason, which means unspecified.
    Revoked {
        at: UnixTime,
    },
    Unknown,
}

/// The answer about one certificate.
#[derive(Clone, Debug)]
pub struct SingleResponse<'a> {
    pub cert_id: &'a CertId,
    pub status: CertStatus,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct OcspResponse<'a> {
    /// In the order of the request.
    pub responses: &'a [SingleResponse<'a>],
    pub produced_at: UnixTime,
    /// Content of the request's nonce extension, to repeat it.
    pub nonce: Option<&'a [u8]>,
    /// `None` for the default of the issuer's key. PSS becomes PKCS #1 v1.5 with the same hash.
    pub algorithm: Option<SignatureAlgorithm>,
}

impl OcspRequest {
    pub fn parse_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::inside(der, tag::SEQUENCE)?;
        let mut request = outer.sequence()?;
        request.optional(tag::explicit(0))?;
        request.optional(tag::explicit(1))?;
        let mut list = request.sequence()?;
        let mut cert_ids = Vec::new();
        while !list.is_empty() {
            if cert_ids.len() >= MAX_CERT_IDS {
                return Err(Malformed("too many certificates are asked about"));
            }
            cert_ids.push(read_cert_id(list.sequence()?.take(tag::SEQUENCE)?.whole)?);
        }
        if cert_ids.is_empty() {
            return Err(Malformed("no certificate is asked about"));
        }
        let extensions = match request.optional(tag::explicit(2))? {
            Some(explicit) => read::extensions(explicit.reader().sequence()?)?,
            None => Vec::new(),
        };
        request.finish()?;
        outer.optional(tag::explicit(0))?;
        outer.finish()?;
        let nonce = extensions
            .into_iter()
            .find(|extension| extension.oid == oid::OCSP_NONCE)
            .map(|extension| extension.value);
        Ok(Self { cert_ids, nonce })
    }
}

impl CertId {
    /// As it was asked.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the certificate asked about bears the name and key of this issuer. False if the
    /// hash is not known.
    #[must_use]
    pub fn names_issuer(&self, issuer: &Certificate) -> bool {
        self.hash.is_some_and(|hash| {
            let key = issuer.public_key().subject_public_key();
            hash.digest(issuer.subject_der()).as_ref() == self.issuer_name_hash
                && hash.digest(key).as_ref() == self.issuer_key_hash
        })
    }
}

impl OcspResponse<'_> {
    /// DER of the response. The responder is named by the subject of `issuer`.
    pub fn sign(&self, issuer: &Issuer) -> Result<Vec<u8>, KeyError> {
        let algorithm = self
            .algorithm
            .unwrap_or_else(|| SignatureAlgorithm::default_for(issuer.public_key().kind()))
            .without_pss();
        let mut data = Writer::with_capacity(512);
        data.sequence(|writer| {
            writer.nested(tag::explicit(1), |writer| {
                writer.raw(issuer.certificate().subject_der());
            });
            writer.generalized_time(self.produced_at);
            writer.sequence(|writer| {
                for response in self.responses {
                    writer.sequence(|writer| response.write(writer));
                }
            });
            if let Some(nonce) = self.nonce {
                let extension = RawExtension {
                    oid: oid::OCSP_NONCE,
                    critical: false,
                    value: nonce.to_vec(),
                };
                writer.nested(tag::explicit(1), |writer| {
                    writer.sequence(|writer| write::raw(writer, &extension));
                });
            }
        });
        let signature = issuer.key().sign(algorithm, data.as_bytes())?;
        let mut response = Writer::with_capacity(data.as_bytes().len() + signature.len() + 128);
        response.sequence(|writer| {
            writer.primitive(tag::ENUMERATED, &[0]);
            writer.nested(tag::explicit(0), |writer| {
                writer.sequence(|writer| {
                    writer.oid(oid::OCSP_BASIC);
                    writer.nested(tag::OCTET_STRING, |writer| {
                        writer.sequence(|writer| {
                            writer.raw(data.as_bytes());
                            algorithm.write_identifier(writer);
                            writer.bit_string(&signature);
                        });
                    });
                });
            });
        });
        Ok(response.into_bytes())
    }
}

impl SingleResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.raw(&self.cert_id.der);
        match self.status {
            CertStatus::Good => writer.primitive(tag::implicit(0), &[]),
            CertStatus::Revoked { at } => writer.nested(tag::explicit(1), |writer| {
                writer.generalized_time(at);
            }),
            CertStatus::Unknown => writer.primitive(tag::implicit(2), &[]),
        }
        writer.generalized_time(self.this_update);
        if let Some(next_update) = self.next_update {
            writer.nested(tag::explicit(0), |writer| {
                writer.generalized_time(next_update);
            });
        }
    }
}

fn read_cert_id(der: &[u8]) -> Result<CertId, Malformed> {
    let mut reader = Reader::inside(der, tag::SEQUENCE)?;
    let hash = Hash::from_oid(reader.sequence()?.oid()?);
    let issuer_name_hash = reader.take(tag::OCTET_STRING)?.content.to_vec();
    let issuer_key_hash = reader.take(tag::OCTET_STRING)?.content.to_vec();
    let serial = SerialNumber::from_magnitude(reader.take(tag::INTEGER)?.unsigned()?)?;
    reader.finish()?;
    Ok(CertId {
        der: der.to_vec(),
        hash,
        issuer_name_hash,
        issuer_key_hash,
        serial,
    })
}

/// Response to a request that is no OCSP request.
pub const MALFORMED_REQUEST: &[u8] = &[0x30, 3, 0x0a, 1, 1];
/// Response when answering failed.
pub const INTERNAL_ERROR: &[u8] = &[0x30, 3, 0x0a, 1, 2];
/// Response when there is too much to do now.
pub const TRY_LATER: &[u8] = &[0x30, 3, 0x0a, 1, 3];
/// Response when nobody here may answer.
pub const UNAUTHORIZED: &[u8] = &[0x30, 3, 0x0a, 1, 6];

const MAX_CERT_IDS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judges::{NOW, P256, root};

    /// A question without a nonce, as OpenSSL asks it.
    const REQUEST: &[u8] = include_bytes!("judges/reference/ocsp_request.der");

    #[test]
    fn repeats_the_question_and_the_nonce_byte_for_byte() {
        let request = OcspRequest::parse_der(REQUEST).unwrap();
        assert_eq!(request.nonce, None);
        let nonce = [4, 2, 0xab, 0xcd];
        let response = OcspResponse {
            responses: &[SingleResponse {
                cert_id: &request.cert_ids[0],
                status: CertStatus::Good,
                this_update: NOW,
                next_update: None,
            }],
            produced_at: NOW,
            nonce: Some(&nonce),
            algorithm: None,
        };
        let der = response.sign(&root(P256)).unwrap();
        for part in [request.cert_ids[0].der.as_slice(), &nonce] {
            assert!(der.windows(part.len()).any(|window| window == part));
        }
    }

    #[test]
    fn a_question_with_an_unknown_hash_is_read_but_names_no_issuer() {
        let mut der = REQUEST.to_vec();
        let sha1 = oid::SHA1;
        let at = der
            .windows(sha1.as_bytes().len())
            .position(|window| window == sha1.as_bytes())
            .unwrap();
        der[at + sha1.as_bytes().len() - 1] ^= 1;
        let request = OcspRequest::parse_der(&der).unwrap();
        assert_eq!(request.cert_ids[0].hash, None);
        assert!(!request.cert_ids[0].names_issuer(root(P256).certificate()));
    }

    #[test]
    fn refuses_a_request_that_asks_nothing() {
        let nothing = [0x30, 4, 0x30, 2, 0x30, 0];
        assert!(OcspRequest::parse_der(&nothing).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
            let _ = OcspRequest::parse_der(&bytes);
        }

        #[test]
        fn no_damage_makes_parsing_panic(position: prop::sample::Index, octet: u8) {
            let mut der = REQUEST.to_vec();
            let at = position.index(der.len());
            der[at] = octet;
            let _ = OcspRequest::parse_der(&der);
        }
    }
}
