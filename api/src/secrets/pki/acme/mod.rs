//! Certificates over ACME (RFC 8555): a client proves that it controls names, and gets a certificate
//! for them without a token.
//!
//! ```text
//! Signed<Action> --> directory (which role, which issuer) --> jws (who signed) --> Action::act
//!                                                    challenges --> validate (in the background)
//!                                                    finalize   --> vet, issuance
//! ```
//!
//! What clients are told is in the mount's store before they are told it.

mod accounts;
mod authorizations;
mod challenges;
pub(super) mod config;
mod directory;
pub(super) mod eab;
mod finalize;
mod identifiers;
mod jws;
mod key_change;
mod nonces;
mod orders;
mod problem;
mod records;
mod revoke;
mod session;
pub(super) mod tidy;
mod validate;

use std::sync::Arc;

use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::nonces::Nonces;
use crate::secrets::pki::acme::session::Signed;
use crate::secrets::pki::acme::validate::Validations;

/// What a mount keeps in memory for ACME.
#[derive(Debug, Default)]
pub(super) struct Acme {
    nonces: Nonces,
    validations: Arc<Validations>,
}

impl Acme {
    /// Takes up the validations that are due; does nothing when there are none.
    pub(super) fn wake(&self, engine: &Pki) {
        self.validations.wake(engine);
    }

    pub(super) fn shut_down(&self) {
        self.validations.stop();
    }
}

pub(super) type ReadDirectory = directory::Read;
pub(super) type NewNonce = directory::NewNonce;
pub(super) type KeyChange = Signed<key_change::KeyChange>;
pub(super) type NewAccount = Signed<accounts::New>;
pub(super) type Account = Signed<accounts::Existing>;
pub(super) type NewOrder = Signed<orders::New>;
pub(super) type Orders = Signed<orders::All>;
pub(super) type Order = Signed<orders::Existing>;
pub(super) type Certificate = Signed<orders::Certificate>;
pub(super) type Finalize = Signed<finalize::Finalize>;
pub(super) type Authorization = Signed<authorizations::Existing>;
pub(super) type Challenge = Signed<challenges::Existing>;
pub(super) type RevokeCertificate = Signed<revoke::Revoke>;
