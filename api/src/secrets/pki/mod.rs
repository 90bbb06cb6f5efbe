//! The PKI secrets engine: a certificate authority at a path.
//!
//! ```text
//! endpoint file --> vet (role, request) --> issuance: build, sign, record --> one commit
//!                     ^ state: issuers, keys and configuration, parsed once, fed by watch
//! ```

mod acme;
mod aia;
mod authorities;
mod authority_params;
mod ca;
mod certs;
mod conditional;
mod config;
mod crl;
mod format;
mod import;
mod intermediate;
mod issuance;
mod issuers;
mod key_source;
mod keys;
mod leaf;
mod names;
mod ocsp;
mod records;
mod revoke;
mod roles;
mod root;
mod root_bundle;
mod self_issued;
mod sign_intermediate;
mod state;
mod tidy;
pub(crate) mod workload;

pub use root_bundle::root_bundle;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::endpoint::{Row, row};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::mount::MountEnvironment;
use crate::secrets::pki::acme::Acme;
use crate::secrets::pki::certs::index::Index;
use crate::secrets::pki::conditional::Freshness;
use crate::secrets::pki::crl::Crls;
use crate::secrets::pki::ocsp::OcspCache;
use crate::secrets::pki::state::StateCache;
use crate::secrets::pki::tidy::Tidy;
use crate::time::Timestamp;

/// One PKI mount.
#[derive(Clone, Debug)]
pub struct Pki {
    env: MountEnvironment,
    acme: Arc<Acme>,
    state: Arc<StateCache>,
    crls: Arc<Crls>,
    ocsp_cache: Arc<OcspCache>,
    freshness: Arc<Freshness>,
    tidy: Arc<Tidy>,
    index: Arc<Index>,
}

impl Engine for Pki {
    const KIND: &'static str = "pki";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<acme::Account>(),
        row::<acme::Authorization>(),
        row::<acme::Certificate>(),
        row::<acme::Challenge>(),
        row::<acme::Finalize>(),
        row::<acme::KeyChange>(),
        row::<acme::NewAccount>(),
        row::<acme::NewNonce>(),
        row::<acme::NewOrder>(),
        row::<acme::Order>(),
        row::<acme::Orders>(),
        row::<acme::ReadDirectory>(),
        row::<acme::RevokeCertificate>(),
        row::<acme::config::Read>(),
        row::<acme::config::Write>(),
        row::<acme::eab::Delete>(),
        row::<acme::eab::List>(),
        row::<acme::eab::New>(),
        row::<ca::Fetch>(),
        row::<ca::FetchChain>(),
        row::<ca::FetchJson>(),
        row::<certs::Fetch>(),
        row::<certs::FetchRaw>(),
        row::<certs::counts::Read>(),
        row::<certs::list::List>(),
        row::<certs::list::ListDetailed>(),
        row::<certs::list::ListRevoked>(),
        row::<config::auto_tidy::Read>(),
        row::<config::auto_tidy::Write>(),
        row::<config::cluster::Read>(),
        row::<config::cluster::Write>(),
        row::<config::crl::Read>(),
        row::<config::crl::Write>(),
        row::<config::defaults::ReadIssuers>(),
        row::<config::defaults::ReadKeys>(),
        row::<config::defaults::ReplaceRoot>(),
        row::<config::defaults::WriteIssuers>(),
        row::<config::defaults::WriteKeys>(),
        row::<config::urls::Read>(),
        row::<config::urls::Write>(),
        row::<crl::endpoints::Fetch>(),
        row::<crl::endpoints::FetchJson>(),
        row::<crl::endpoints::FetchOfIssuer>(),
        row::<crl::endpoints::Rotate>(),
        row::<crl::endpoints::RotateDelta>(),
        row::<crl::resign::Resign>(),
        row::<crl::sign_list::SignList>(),
        row::<import::Import>(),
        row::<intermediate::Generate>(),
        row::<issuers::Delete>(),
        row::<issuers::Fetch>(),
        row::<issuers::FetchJson>(),
        row::<issuers::List>(),
        row::<issuers::Read>(),
        row::<issuers::revoke::Revoke>(),
        row::<issuers::update::Patch>(),
        row::<issuers::update::Replace>(),
        row::<keys::Delete>(),
        row::<keys::List>(),
        row::<keys::Read>(),
        row::<keys::Rename>(),
        row::<keys::create::Generate>(),
        row::<keys::create::Import>(),
        row::<leaf::Issue>(),
        row::<leaf::Sign>(),
        row::<leaf::SignVerbatim>(),
        row::<ocsp::Get>(),
        row::<ocsp::Post>(),
        row::<revoke::Revoke>(),
        row::<revoke::RevokeWithKey>(),
        row::<roles::Delete>(),
        row::<roles::List>(),
        row::<roles::Patch>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
        row::<root::Delete>(),
        row::<root::Generate>(),
        row::<self_issued::Sign>(),
        row::<sign_intermediate::Sign>(),
        row::<tidy::Cancel>(),
        row::<tidy::Start>(),
        row::<tidy::Status>(),
    ];
    const HELP: &'static str = "The PKI backend dynamically generates X509 server and client \
                                certificates.";
    const WITHOUT_TOKEN: &'static [&'static str] = &["acme/", "cert/"];
    const DISTRIBUTED: &'static [&'static str] = &[
        "ca",
        "ca/pem",
        "ca_chain",
        "cert/ca/raw",
        "cert/ca/raw/pem",
        "cert/crl/raw",
        "cert/crl/raw/pem",
        "cert/delta-crl/raw",
        "cert/delta-crl/raw/pem",
        "crl",
        "crl/delta",
        "crl/delta/pem",
        "crl/pem",
        "issuer/{issuer_ref}/crl/delta/der",
        "issuer/{issuer_ref}/crl/delta/pem",
        "issuer/{issuer_ref}/crl/der",
        "issuer/{issuer_ref}/crl/pem",
        "issuer/{issuer_ref}/der",
        "issuer/{issuer_ref}/pem",
        "ocsp",
        "ocsp/{request:path}",
    ];

    async fn periodic(&self, now: Timestamp) -> Result<(), ApiError> {
        let state = self.state.state().await?;
        self.acme.wake(self);
        let listed = self.crls.periodic(&state, now).await;
        let counted = self.go_on_counting(now).await;
        let tidied = self.tidy.periodic(self, now).await;
        // Each goes on without the others.
        listed.and(counted).and(tidied)
    }

    async fn revoke_lease(
        &self,
        lease: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.revoke_leased(lease, now).await
    }

    fn shut_down(&self) {
        self.tidy.cancel();
        self.acme.shut_down();
    }
}

impl Pki {
    pub(crate) fn open(env: MountEnvironment) -> Self {
        let state = StateCache::new(&env);
        let crls = Crls::new(&env);
        let ocsp_cache = OcspCache::new(&env.view);
        let tidy = Tidy::new(env.environment.clock.now());
        let index = Arc::new(Index::new(&env.view));
        Self {
            env,
            acme: Arc::default(),
            state,
            crls,
            ocsp_cache,
            freshness: Arc::default(),
            tidy,
            index,
        }
    }
}
