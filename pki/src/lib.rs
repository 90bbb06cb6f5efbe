//! The certificate engine: bytes, roles, issuers and a time go in; certificates, CRLs, OCSP
//! responses or typed refusals come out.
//!
//! Nothing here does I/O, reads a clock or knows of tokens. The flow of one certificate:
//!
//! ```text
//! CSR bytes --csr--> VerifiedCsr --vet(role)--> Vetted --cert::build(issuer, serial)--> Tbs
//!                                                            --sign--> Certificate --check-->
//! ```

pub mod plan;
pub mod role;
pub mod time;
pub mod vet;
