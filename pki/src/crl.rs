//! Certificate revocation lists (RFC 5280 §5).

use std::ops::Range;

use crate::asn1::{Malformed, Reader, Writer, tag};
use crate::ext::{read, write};
use crate::issuer::Issuer;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::plan::RawExtension;
use crate::serial::SerialNumber;
use crate::time::UnixTime;

/// What a CRL says, apart from its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlPlan {
    /// Has to grow with every CRL of an issuer.
    pub number: u64,
    /// Number of the complete CRL that this one adds to; makes it a delta CRL.
    pub delta_base: Option<u64>,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
    /// `None` for the default of the issuer's key.
    pub algorithm: Option<SignatureAlgorithm>,
    /// Written after the generated ones. One that says where the delta CRL is takes the place of
    /// the issuer's.
    pub extensions: Vec<RawExtension>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    pub serial: SerialNumber,
    pub revoked_at: UnixTime,
    pub extensions: Vec<RawExtension>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    #[error("certificate of the issuer lacks the key usage cRLSign")]
    IssuerLacksCrlSign,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl CrlPlan {
    /// DER of the CRL. Takes the entries one by one, in their order, and about 40 octets for each.
    pub fn sign(
        &self,
        issuer: &Issuer,
        revoked: impl IntoIterator<Item = RevokedCertificate>,
    ) -> Result<Vec<u8>, CrlError> {
        if !issuer.can_sign_crls() {
            return Err(CrlError::IssuerLacksCrlSign);
        }
        let kind = issuer.public_key().kind();
        let algorithm = self
            .algorithm
            .unwrap_or_else(|| SignatureAlgorithm::default_for(kind));
        let mut revoked = revoked.into_iter().peekable();
        let expected_entries = revoked.size_hint().0.min(MAX_EXPECTED_ENTRIES);
        let mut list = Writer::with_capacity(512 + expected_entries * TYPICAL_ENTRY_BYTES);
        list.sequence(|writer| {
            writer.small_unsigned(1);
            algorithm.write_identifier(writer);
            writer.raw(issuer.certificate().subject_der());
            writer.time(self.this_update);
            if let Some(next_update) = self.next_update {
                writer.time(next_update);
            }
            if revoked.peek().is_some() {
                writer.sequence(|writer| revoked.for_each(|entry| write_entry(writer, &entry)));
            }
            writer.nested(tag::explicit(0), |writer| {
                writer.sequence(|writer| self.write_extensions(writer, issuer));
            });
        });
        let signature = issuer.key().sign(algorithm, list.as_bytes())?;
        let mut signed = Writer::with_capacity(list.as_bytes().len() + signature.len() + 128);
        signed.sequence(|writer| {
            writer.raw(list.as_bytes());
            algorithm.write_identifier(writer);
            writer.bit_string(&signature);
        });
        Ok(signed.into_bytes())
    }

    fn write_extensions(&self, writer: &mut Writer, issuer: &Issuer) {
        writer.raw(&issuer.extensions().authority_key_id);
        write::crl_number(writer, self.number);
        let names_delta = self.extensions.iter().any(|it| it.oid == oid::FRESHEST_CRL);
        match self.delta_base {
            Some(base_number) => write::delta_crl_indicator(writer, base_number),
            // A delta CRL must not have it (RFC 5280 §5.2.6).
            None if !names_delta => writer.raw(&issuer.extensions().freshest_crl),
            None => {}
        }
        for extension in &self.extensions {
            write::raw(writer, extension);
        }
    }
}

fn write_entry(writer: &mut Writer, entry: &RevokedCertificate) {
    writer.sequence(|writer| {
        writer.unsigned(entry.serial.as_bytes());
        writer.time(entry.revoked_at);
        if !entry.extensions.is_empty() {
            writer.sequence(|writer| {
                for extension in &entry.extensions {
                    write::raw(writer, extension);
                }
            });
        }
    });
}

/// A CRL as bytes, read whole.
#[derive(Clone, Debug)]
pub struct Crl {
    signed: Vec<u8>,
    signature_algorithm: Result<SignatureAlgorithm, KeyError>,
    signature: Vec<u8>,
    issuer: Range<usize>,
    pub this_update: UnixTime,
    pub next_update: Option<UnixTime>,
    pub revoked: Vec<RevokedCertificate>,
    pub extensions: Vec<RawExtension>,
}

impl Crl {
    pub fn parse_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::inside(der, tag::SEQUENCE)?;
        let signed = outer.take(tag::SEQUENCE)?;
        let algorithm = outer.take(tag::SEQUENCE)?.whole;
        let signature = outer.bit_string()?;
        outer.finish()?;

        let mut list = signed.reader();
        list.optional(tag::INTEGER)?;
        if list.take(tag::SEQUENCE)?.whole != algorithm {
            return Err(Malformed("inner and outer signature algorithm differ"));
        }
        let issuer_start = signed.whole.len() - list.remaining();
        let issuer_length = list.take(tag::SEQUENCE)?.whole.len();
        let this_update = list.next()?.time()?;
        let next_update = match list.optional(tag::UTC_TIME)? {
            Some(time) => Some(time.time()?),
            None => list
                .optional(tag::GENERALIZED_TIME)?
                .map(|time| time.time())
                .transpose()?,
        };
        let mut revoked = Vec::new();
        if let Some(entries) = list.optional(tag::SEQUENCE)? {
            let mut entries = entries.reader();
            while !entries.is_empty() {
                revoked.push(read_entry(entries.sequence()?)?);
            }
        }
        let extensions = match list.optional(tag::explicit(0))? {
            Some(explicit) => read::extensions(explicit.reader().sequence()?)?,
            None => Vec::new(),
        };
        list.finish()?;
        Ok(Self {
            signed: signed.whole.to_vec(),
            signature_algorithm: SignatureAlgorithm::from_identifier(algorithm),
            signature: signature.to_vec(),
            issuer: issuer_start..issuer_start + issuer_length,
            this_update,
            next_update,
            revoked,
            extensions,
        })
    }

    /// `tbsCertList`, which is what was signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.signed
    }

    /// DER of the issuer's `Name`.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        self.signed.get(self.issuer.clone()).unwrap_or_default()
    }

    /// `None` if there is no such extension or it exceeds 64 bits.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.integer(oid::CRL_NUMBER)
    }

    /// `None` for a complete CRL.
    #[must_use]
    pub fn delta_base(&self) -> Option<u64> {
        self.integer(oid::DELTA_CRL_INDICATOR)
    }

    pub fn verify_signature(&self, signer: &PublicKey) -> Result<(), KeyError> {
        let algorithm = self.signature_algorithm.clone()?;
        signer.verify(algorithm, &self.signed, &self.signature)
    }

    fn integer(&self, oid: const_oid::ObjectIdentifier) -> Option<u64> {
        let extension = self
            .extensions
            .iter()
            .find(|extension| extension.oid == oid)?;
        let mut reader = Reader::new(&extension.value);
        reader.take(tag::INTEGER).ok()?.small_unsigned().ok()
    }
}

fn read_entry(mut entry: Reader<'_>) -> Result<RevokedCertificate, Malformed> {
    let serial = SerialNumber::from_magnitude(entry.take(tag::INTEGER)?.unsigned()?)?;
    let revoked_at = entry.next()?.time()?;
    let extensions = match entry.optional(tag::SEQUENCE)? {
        Some(extensions) => read::extensions(extensions.reader())?,
        None => Vec::new(),
    };
    entry.finish()?;
    Ok(RevokedCertificate {
        serial,
        revoked_at,
        extensions,
    })
}

const TYPICAL_ENTRY_BYTES: usize = 40;
const MAX_EXPECTED_ENTRIES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judges::{NOW, P256, authority_plan, root, root_with, serial};
    use crate::plan::KeyUsage;

    fn plan(delta_base: Option<u64>) -> CrlPlan {
        CrlPlan {
            number: 5,
            delta_base,
            this_update: NOW,
            next_update: Some(NOW.plus_secs(259_200)),
            algorithm: None,
            extensions: Vec::new(),
        }
    }

    fn revoked(number: u8) -> RevokedCertificate {
        RevokedCertificate {
            serial: serial(number),
            revoked_at: NOW.plus_secs(-60),
            extensions: Vec::new(),
        }
    }

    #[test]
    fn reads_back_what_was_written() {
        let issuer = root(P256);
        let entries: Vec<_> = (1..=200).map(revoked).collect();
        let der = plan(None).sign(&issuer, entries.clone()).unwrap();
        let crl = Crl::parse_der(&der).unwrap();
        assert_eq!(crl.issuer_der(), issuer.certificate().subject_der());
        assert_eq!(
            (crl.this_update, crl.next_update),
            (NOW, Some(NOW.plus_secs(259_200)))
        );
        assert_eq!((crl.number(), crl.delta_base()), (Some(5), None));
        assert_eq!(crl.revoked, entries);
        let order: Vec<_> = crl
            .extensions
            .iter()
            .map(|extension| extension.oid)
            .collect();
        assert_eq!(
            order,
            [
                oid::AUTHORITY_KEY_IDENTIFIER,
                oid::CRL_NUMBER,
                oid::FRESHEST_CRL
            ]
        );
        assert_eq!(crl.verify_signature(issuer.public_key()), Ok(()));
        assert!(crl.verify_signature(root(P256).public_key()).is_err());
    }

    #[test]
    fn a_delta_crl_names_its_base_in_a_critical_extension() {
        let issuer = root(P256);
        let der = plan(Some(4)).sign(&issuer, []).unwrap();
        let crl = Crl::parse_der(&der).unwrap();
        assert_eq!((crl.number(), crl.delta_base()), (Some(5), Some(4)));
        let last = crl.extensions.last().unwrap();
        assert!(last.critical && last.oid == oid::DELTA_CRL_INDICATOR);
        assert!(crl.revoked.is_empty());
    }

    #[test]
    fn entries_can_carry_extensions() {
        let issuer = root(P256);
        let mut entry = revoked(1);
        entry.extensions = vec![RawExtension {
            oid: "1.2.3".parse().unwrap(),
            critical: true,
            value: vec![5, 0],
        }];
        let mut plan = plan(None);
        plan.extensions.clone_from(&entry.extensions);
        let crl = Crl::parse_der(&plan.sign(&issuer, [entry.clone()]).unwrap()).unwrap();
        assert_eq!(crl.revoked, [entry.clone()]);
        assert_eq!(crl.extensions.last(), entry.extensions.first());
    }

    #[test]
    fn an_issuer_without_crl_sign_makes_no_crl() {
        for usage in [KeyUsage(0), KeyUsage::KEY_CERT_SIGN] {
            let mut authority = authority_plan("Root", None);
            authority.key_usage = usage;
            let issuer = root_with(P256, authority);
            assert_eq!(
                plan(None).sign(&issuer, []),
                Err(CrlError::IssuerLacksCrlSign)
            );
        }
    }

    #[test]
    fn refuses_an_algorithm_that_does_not_fit_the_key() {
        let mut plan = plan(None);
        plan.algorithm = Some(SignatureAlgorithm::Ed25519);
        assert!(matches!(plan.sign(&root(P256), []), Err(CrlError::Key(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_parsing_panic(bytes: Vec<u8>) {
            let _ = Crl::parse_der(&bytes);
        }

        #[test]
        fn no_damage_makes_parsing_panic_or_a_signature_hold(
            position: prop::sample::Index,
            octet in 1_u8..,
        ) {
            let issuer = root(P256);
            let mut der = plan(Some(1)).sign(&issuer, [revoked(1)]).unwrap();
            let at = position.index(der.len());
            der[at] ^= octet;
            if let Ok(crl) = Crl::parse_der(&der) {
                let _ = (crl.number(), crl.delta_base());
                prop_assert!(crl.verify_signature(issuer.public_key()).is_err());
            }
        }
    }
}
