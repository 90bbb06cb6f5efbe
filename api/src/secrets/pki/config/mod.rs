//! `config/`: how a mount behaves.

pub(super) mod auto_tidy;
pub(super) mod crl;
