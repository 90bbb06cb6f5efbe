//! What a certificate will say, before issuer, serial number and signature are added.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use crate::time::Validity;

/// The content of a certificate that somebody's policy has to approve.
///
/// Made by the `vet` modules only; `cert::build` takes it inside a `Vetted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub subject: Subject,
    pub sans: SubjectAltNames,
    pub validity: Validity,
    pub key_usage: KeyUsage,
    /// In the order in which they are written.
    pub ext_key_usage: Vec<ObjectIdentifier>,
    pub basic_constraints: BasicConstraints,
    /// Subject key identifier to use instead of the SHA-1 of the public key.
    pub subject_key_id: Option<Vec<u8>>,
    pub policies: Vec<PolicyInformation>,
    /// `permittedSubtrees` of type dNSName; makes the critical `NameConstraints` extension.
    pub permitted_dns_domains: Vec<String>,
    /// Copied from a CSR as they are; each replaces a generated extension of the same OID.
    pub copied_extensions: Vec<RawExtension>,
    pub signature: SignaturePreference,
}

/// The subject of a certificate.
#[expect(
    clippy::large_enum_variant,
    reason = "a plan has one subject and is moved a few times"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// DER of the `Name`, byte for byte from a CSR.
    Raw(Vec<u8>),
    Attributes(SubjectAttributes),
}

/// Values of one attribute share one RDN, except user ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectAttributes {
    pub country: Vec<String>,
    pub province: Vec<String>,
    pub locality: Vec<String>,
    pub street_address: Vec<String>,
    pub postal_code: Vec<String>,
    pub organization: Vec<String>,
    pub organizational_unit: Vec<String>,
    /// Empty for none.
    pub common_name: String,
    /// The serialNumber attribute (2.5.4.5), not the certificate's serial number. Empty for none.
    pub serial_number: String,
    pub user_ids: Vec<String>,
}

/// Subject alternative names, each list in the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectAltNames {
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub uris: Vec<String>,
    pub others: Vec<OtherName>,
}

/// An otherName whose value is a `UTF8String`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherName {
    pub oid: ObjectIdentifier,
    pub value: String,
}

/// Bits of the `KeyUsage` extension (RFC 5280 §4.2.1.3); bit 0 is digitalSignature. None set: no
/// extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    pub const CRL_SIGN: Self = Self(1 << 6);

    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The `BasicConstraints` extension (RFC 5280 §4.2.1.9); critical when present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicConstraints {
    Absent,
    Authority { path_len: Option<u32> },
    EndEntity,
}

/// One entry of the `CertificatePolicies` extension (RFC 5280 §4.2.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInformation {
    pub oid: ObjectIdentifier,
    /// `explicitText` of a user notice.
    pub notice: Option<String>,
    /// URI of the certification practice statement.
    pub cps: Option<String>,
}

/// An extension as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExtension {
    pub oid: ObjectIdentifier,
    pub critical: bool,
    /// Content of `extnValue`'s OCTET STRING.
    pub value: Vec<u8>,
}

/// What the request wishes of the signature; the issuer's key decides what is possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignaturePreference {
    /// 256, 384 or 512; any other value means the key's default.
    pub hash_bits: u32,
    /// RSASSA-PSS instead of PKCS #1 v1.5 where the key is RSA.
    pub pss: bool,
    /// ECDSA follows the curve even when `hash_bits` says otherwise.
    pub ecdsa_by_curve: bool,
}
