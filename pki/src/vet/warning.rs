//! What is done differently from what was asked.

use std::fmt;

use super::go_text::{duration, quote};

/// Something the client should know about a certificate it gets; displays as Vault's sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    AltNamesIgnored,
    BasicConstraintsIgnored,
    BeyondIssuer,
    CommonNameIgnored,
    KeyParametersIgnored,
    NoSubject,
    /// An authority that cannot have authorities below it; `root` if it signs itself.
    PathLengthZero {
        root: bool,
    },
    TtlClamped {
        ttl_secs: u64,
        max_ttl_secs: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AltNamesIgnored => {
                "the alt_names field was provided but the role is set with \"use_csr_sans\" set to \
                 true"
            }
            Self::BasicConstraintsIgnored => {
                "specified CSR contained a Basic Constraints extension that was ignored during \
                 issuance"
            }
            Self::BeyondIssuer => {
                "The expiration time for the signed certificate is after the CA's expiration time. \
                 If the new certificate is not treated as a root, validation paths with the \
                 certificate past the issuing CA's expiration time will fail."
            }
            Self::CommonNameIgnored => {
                "the common_name field was provided but the role is set with \
                 \"use_csr_common_name\" set to true"
            }
            Self::KeyParametersIgnored => {
                "parameters key_type and key_bits ignored as role had specific values"
            }
            Self::NoSubject => {
                "This issuer certificate was generated without a Subject; this makes it likely \
                 that issuing leaf certs with this certificate will cause TLS validation libraries \
                 to reject this certificate."
            }
            Self::PathLengthZero { root: true } => {
                "Max path length of the generated certificate is zero. This certificate cannot be \
                 used to issue intermediate CA certificates."
            }
            Self::PathLengthZero { root: false } => {
                "Max path length of the signed certificate is zero. This certificate cannot be \
                 used to issue intermediate CA certificates."
            }
            Self::TtlClamped {
                ttl_secs,
                max_ttl_secs,
            } => {
                return write!(
                    f,
                    "TTL {} is longer than permitted maxTTL {}, so maxTTL is being used",
                    quote(&duration(*ttl_secs)),
                    quote(&duration(*max_ttl_secs))
                );
            }
        })
    }
}
