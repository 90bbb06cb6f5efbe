//! `config/`: how a mount behaves.

pub(super) mod auto_tidy;
pub(super) mod cluster;
pub(super) mod crl;
pub(super) mod defaults;
pub(super) mod urls;
