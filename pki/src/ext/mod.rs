//! Extensions of certificates, CSRs and CRLs.

pub(crate) mod read;
pub(crate) mod write;
