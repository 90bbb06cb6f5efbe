//! The certificate engine: bytes, roles, issuers and a time go in; certificates, CRLs, OCSP
//! responses or typed refusals come out.
//!
//! Nothing here does I/O, reads a clock or knows of tokens. The flow of one certificate:
//!
//! ```text
//! CSR bytes --csr--> VerifiedCsr --vet(role)--> Vetted --cert::build(issuer, serial)--> Tbs
//!                                                            --sign--> Certificate --check-->
//! ```

mod asn1;
pub mod bundle;
pub mod cert;
pub mod chain;
pub mod crl;
pub mod csr;
pub mod dn;
mod ext;
pub mod issuer;
pub mod key;
mod name_constraints;
pub mod ocsp;
pub mod oid;
pub mod pem;
pub mod plan;
pub mod role;
pub mod serial;
pub mod time;
pub mod vet;

pub use asn1::Malformed;

#[cfg(test)]
mod judges;
