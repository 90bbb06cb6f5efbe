//! The shapes in which certificates and keys leave the engine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signet_pki::cert::Certificate;
use signet_pki::key::{KeyFormat, KeyKind, PrivateKey};
use signet_pki::pem;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::secrets::pki::state::ChainLink;

/// The `format` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Der,
    Pem,
    PemBundle,
}

impl Format {
    /// The empty text is the default, PEM.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "pem" => Some(Self::Pem),
            "der" => Some(Self::Der),
            "pem_bundle" => Some(Self::PemBundle),
            _ => None,
        }
    }

    /// The format of what a new authority gets.
    pub(super) fn of_authority(text: &str) -> Result<Self, ApiError> {
        Self::parse(text).ok_or_else(|| {
            ApiError::bad_request(
                "the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"",
            )
        })
    }

    pub(super) fn certificate(self, certificate: &Certificate) -> String {
        match self {
            Self::Der => STANDARD.encode(certificate.der()),
            Self::Pem | Self::PemBundle => certificate.to_pem_without_newline(),
        }
    }

    pub(super) fn link(self, link: &ChainLink) -> String {
        match self {
            Self::Der => STANDARD.encode(&link.der),
            Self::Pem | Self::PemBundle => link.trimmed_pem().to_owned(),
        }
    }

    /// A CSR.
    pub(super) fn request(self, der: &[u8]) -> String {
        match self {
            Self::Der => STANDARD.encode(der),
            Self::Pem | Self::PemBundle => pem::encode_without_newline("CERTIFICATE REQUEST", der),
        }
    }

    pub(super) fn private_key(
        self,
        key: &PrivateKey,
        encoding: KeyFormat,
    ) -> Result<Zeroizing<String>, ApiError> {
        Ok(match self {
            Self::Der => {
                let der = key.to_der(encoding).map_err(ApiError::internal)?;
                Zeroizing::new(STANDARD.encode(der.as_slice()))
            }
            Self::Pem | Self::PemBundle => {
                let pem = key.to_pem(encoding).map_err(ApiError::internal)?;
                Zeroizing::new(pem.trim_end().to_owned())
            }
        })
    }
}

/// The `private_key_format` parameter; only `pkcs8` changes anything.
pub(super) fn key_encoding(text: &str) -> KeyFormat {
    if text == "pkcs8" {
        KeyFormat::Pkcs8
    } else {
        KeyFormat::Traditional
    }
}

/// The family of a key, as messages name it.
pub(super) fn key_family(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Ec(_) => "ECDSA",
        KeyKind::Ed25519 => "Ed25519",
        KeyKind::MlDsa(_) => "ML-DSA",
        KeyKind::Rsa { .. } => "RSA",
    }
}
