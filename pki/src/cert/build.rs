//! From an approved plan to a signed certificate.

use std::borrow::Cow;

use super::Certificate;
use super::check::{self, Mismatch};
use crate::asn1::{Writer, tag};
use crate::ext::write;
use crate::issuer::{AiaUrls, Issuer, IssuerExtensions};
use crate::key::{KeyError, PrivateKey, PublicKey, SignatureAlgorithm};
use crate::oid;
use crate::plan::{Plan, SubjectAltNames};
use crate::serial::SerialNumber;

/// A plan that a policy approved, for a key whose holder was checked. Nothing else can be signed.
#[derive(Debug)]
pub struct Vetted {
    plan: Plan,
    key: PublicKey,
}

/// Everything of a certificate but the signature.
#[derive(Debug)]
pub struct Tbs<'signer> {
    /// `tbsCertificate`.
    bytes: Vec<u8>,
    serial: SerialNumber,
    subject: Vec<u8>,
    vetted: Vetted,
    signer: Signer<'signer>,
    algorithm: SignatureAlgorithm,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A fault of this program or of its memory.
    #[error("the signed certificate is not what was planned: {0}")]
    Mismatch(#[from] Mismatch),
}

/// Who signs, and what it adds to the certificate.
#[derive(Debug)]
pub(super) struct Signer<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) key_id: Cow<'a, [u8]>,
    extensions: Cow<'a, IssuerExtensions>,
    pub(super) key: &'a PrivateKey,
}

/// A plan that the rules allow, before there is a key to certify. Only the modules that vet make
/// one.
#[derive(Debug)]
pub struct Approved(Plan);

impl Approved {
    pub(crate) fn new(plan: Plan) -> Self {
        Self(plan)
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0
    }

    /// `key` was just made by the server, or is one of its own.
    #[must_use]
    pub fn with_key(self, key: PublicKey) -> Vetted {
        Vetted::new(self.0, key)
    }
}

impl Vetted {
    /// For the modules that vet. `key` comes from a verified request or was just made.
    pub(crate) fn new(plan: Plan, key: PublicKey) -> Self {
        Self { plan, key }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The first DNS name that the name constraints of `issuer` forbid, so that nobody would accept
    /// the certificate.
    #[must_use]
    pub fn forbidden_name(&self, issuer: &Issuer) -> Option<&str> {
        let constraints = issuer.name_constraints();
        let mut names = self.plan.sans.dns.iter();
        names
            .find(|name| !constraints.permit(name))
            .map(String::as_str)
    }

    /// The certificate that `issuer` will sign.
    #[must_use]
    pub fn build(self, issuer: &Issuer, serial: SerialNumber) -> Tbs<'_> {
        let signer = Signer {
            name: Cow::Borrowed(issuer.certificate().subject_der()),
            key_id: Cow::Borrowed(issuer.key_id()),
            extensions: Cow::Borrowed(issuer.extensions()),
            key: issuer.key(),
        };
        let subject = self.plan.subject.to_der().into_owned();
        self.build_for(signer, subject, serial)
    }

    /// The certificate that `key` will sign for itself.
    pub fn build_self_signed<'key>(
        self,
        key: &'key PrivateKey,
        serial: SerialNumber,
        urls: &AiaUrls,
    ) -> Result<Tbs<'key>, KeyError> {
        if *key.public_key() != self.key {
            return Err(KeyError::SigningFailed);
        }
        let key_id = self.subject_key_id().into_owned();
        let subject = self.plan.subject.to_der().into_owned();
        let signer = Signer {
            name: Cow::Owned(subject.clone()),
            extensions: Cow::Owned(IssuerExtensions::new(&key_id, urls)),
            key_id: Cow::Owned(key_id),
            key,
        };
        Ok(self.build_for(signer, subject, serial))
    }

    /// The planned subject key identifier, or that of the key.
    pub(super) fn subject_key_id(&self) -> Cow<'_, [u8]> {
        match &self.plan.subject_key_id {
            Some(planned) => Cow::Borrowed(planned),
            None => Cow::Owned(self.key.subject_key_id().to_vec()),
        }
    }

    fn build_for(self, signer: Signer<'_>, subject: Vec<u8>, serial: SerialNumber) -> Tbs<'_> {
        let algorithm = SignatureAlgorithm::choose(signer.key.kind(), self.plan.signature);
        let mut writer = Writer::with_capacity(TYPICAL_BYTES);
        writer.sequence(|writer| {
            writer.raw(VERSION_3);
            writer.unsigned(serial.as_bytes());
            algorithm.write_identifier(writer);
            writer.raw(&signer.name);
            writer.sequence(|writer| {
                writer.time(self.plan.validity.not_before);
                writer.time(self.plan.validity.not_after);
            });
            writer.raw(&subject);
            writer.raw(self.key.spki_der());
            writer.nested(tag::explicit(3), |writer| {
                writer.sequence(|writer| {
                    self.write_extensions(writer, signer.extensions.as_ref(), &subject);
                });
            });
        });
        Tbs {
            bytes: writer.into_bytes(),
            serial,
            subject,
            vetted: self,
            signer,
            algorithm,
        }
    }

    /// Generated extensions in the order in which Vault writes them, then the copied ones, then
    /// those that Vault appends.
    fn write_extensions(&self, writer: &mut Writer, issuer: &IssuerExtensions, subject: &[u8]) {
        let plan = &self.plan;
        let copied = &plan.copied_extensions;
        let generates = |oid| !copied.iter().any(|extension| extension.oid == oid);
        let names_at_end = !plan.sans.others.is_empty();
        let policies_at_end = plan.policies.iter().any(write::has_qualifiers);

        if plan.key_usage.0 != 0 && generates(oid::KEY_USAGE) {
            write::key_usage(writer, plan.key_usage);
        }
        if !plan.ext_key_usage.is_empty() && generates(oid::EXT_KEY_USAGE) {
            write::ext_key_usage(writer, &plan.ext_key_usage);
        }
        if generates(oid::BASIC_CONSTRAINTS) {
            write::basic_constraints(writer, plan.basic_constraints);
        }
        if generates(oid::SUBJECT_KEY_IDENTIFIER) {
            write::subject_key_id(writer, &self.subject_key_id());
        }
        if generates(oid::AUTHORITY_KEY_IDENTIFIER) {
            writer.raw(&issuer.authority_key_id);
        }
        if generates(oid::AUTHORITY_INFO_ACCESS) {
            writer.raw(&issuer.authority_info_access);
        }
        let writes_names =
            plan.sans != SubjectAltNames::default() && generates(oid::SUBJECT_ALT_NAME);
        if writes_names && !names_at_end {
            // A certificate without a subject is told apart by these alone (RFC 5280 §4.2.1.6).
            write::subject_alt_names(writer, &plan.sans, subject == EMPTY_NAME);
        }
        let writes_policies = !plan.policies.is_empty() && generates(oid::CERTIFICATE_POLICIES);
        if writes_policies && !policies_at_end {
            write::certificate_policies(writer, &plan.policies);
        }
        if !plan.permitted_dns_domains.is_empty() && generates(oid::NAME_CONSTRAINTS) {
            write::name_constraints(writer, &plan.permitted_dns_domains);
        }
        if generates(oid::CRL_DISTRIBUTION_POINTS) {
            writer.raw(&issuer.crl_distribution_points);
        }
        for extension in copied {
            write::raw(writer, extension);
        }
        if writes_names && names_at_end {
            write::subject_alt_names(writer, &plan.sans, false);
        }
        if writes_policies && policies_at_end {
            write::certificate_policies(writer, &plan.policies);
        }
        if generates(oid::FRESHEST_CRL) {
            writer.raw(&issuer.freshest_crl);
        }
    }
}

impl Tbs<'_> {
    /// Signs, reads back what was signed and compares it with the plan.
    ///
    /// # Errors
    /// [`SignError::Mismatch`] if the certificate must not leave the program.
    pub fn sign(self) -> Result<Certificate, SignError> {
        let signature = self.signer.key.sign(self.algorithm, &self.bytes)?;
        let mut writer = Writer::with_capacity(self.bytes.len() + signature.len() + 128);
        writer.sequence(|writer| {
            writer.raw(&self.bytes);
            self.algorithm.write_identifier(writer);
            writer.bit_string(&signature);
        });
        let expected = check::Expected {
            serial: self.serial,
            subject: &self.subject,
            subject_key_id: &self.vetted.subject_key_id(),
            plan: &self.vetted.plan,
            public_key: &self.vetted.key,
            signer: &self.signer,
            algorithm: self.algorithm,
        };
        Ok(check::read_back(writer.into_bytes(), &expected)?)
    }
}

/// Version 3 as `[0] EXPLICIT INTEGER` (RFC 5280 §4.1.2.1).
const VERSION_3: &[u8] = &[0xa0, 3, 2, 1, 2];
const EMPTY_NAME: &[u8] = &[0x30, 0];
/// Longer ones make the buffer grow once.
const TYPICAL_BYTES: usize = 1024;
