//! The listener's own certificate: issued from the mesh's mount as soon as that can issue, renewed
//! when two thirds of its life are over, changed under the feet of open connections.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use signet_api::mesh::{Basis, Mesh, ServingCertificate};
use signet_api::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::GrpcError;
use super::service::Health;

/// The pair that new connections are served with.
#[derive(Debug)]
pub(super) struct ServingKey(ArcSwap<CertifiedKey>);

impl ServingKey {
    /// One that nobody trusts, so that whoever does not verify is at least told what is missing.
    pub(super) fn self_signed() -> Result<Self, GrpcError> {
        let failed = |error: rcgen::Error| GrpcError::FirstCertificate(error.to_string());
        let names = vec!["signet-not-ready.invalid".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(failed)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let pair = certified(vec![made.cert.der().clone()], &key.into())?;
        Ok(Self(ArcSwap::from_pointee(pair)))
    }

    fn install(&self, certificate: &ServingCertificate) -> Result<(), rustls::Error> {
        let chain = certificate.chain.iter().cloned();
        let key = PrivatePkcs8KeyDer::from(certificate.key.to_vec());
        let pair = certified(chain.map(CertificateDer::from).collect(), &key.into())?;
        self.0.store(Arc::new(pair));
        Ok(())
    }
}

impl ResolvesServerCert for ServingKey {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'_>,
) -> Result<CertifiedKey, rustls::Error> {
    Ok(CertifiedKey::new(chain, any_supported_type(key)?))
}

/// Keeps certificate and health up to date until `stop` turns true.
pub(super) async fn keep(
    mesh: Arc<Mesh>,
    key: Arc<ServingKey>,
    health: Health,
    mut stop: watch::Receiver<bool>,
) {
    let mut keeper = Keeper {
        mesh,
        key,
        health,
        installed: None,
        last_reason: None,
        wait: FIRST_WAIT,
        not_before: Instant::now(),
    };
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_over = tokio::select! {
            _ = looks.tick() => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        if is_over {
            break;
        }
        keeper.look().await;
    }
    keeper.health.set(false).await;
}

struct Keeper {
    mesh: Arc<Mesh>,
    key: Arc<ServingKey>,
    health: Health,
    /// What the current certificate was made from, and when it is to be replaced.
    installed: Option<(Basis, Timestamp)>,
    /// Why there is nothing to be had, as it was last logged.
    last_reason: Option<String>,
    /// After the next failure.
    wait: Duration,
    /// Not tried again earlier.
    not_before: Instant,
}

impl Keeper {
    /// All that a look costs is a look into memory, unless something is to be done.
    async fn look(&mut self) {
        let basis = match self.mesh.serving_basis().await {
            Ok(basis) => basis,
            Err(error) => return self.not_ready(error.to_string()).await,
        };
        let is_due = match &self.installed {
            Some((of, renew_at)) => *of != basis || self.mesh.node().now() >= *renew_at,
            None => true,
        };
        if is_due && Instant::now() >= self.not_before {
            match self.renew().await {
                Ok(installed) => {
                    self.installed = Some(installed);
                    self.wait = FIRST_WAIT;
                }
                Err(reason) => {
                    tracing::error!(reason, "no certificate for the listener of the mesh");
                    self.not_before = Instant::now() + self.wait;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        if self.installed.is_some() {
            self.ready().await;
        } else {
            let reason = "the listener has no certificate yet".to_owned();
            self.not_ready(reason).await;
        }
    }

    async fn renew(&self) -> Result<(Basis, Timestamp), String> {
        let issued = self.mesh.issue_serving().await;
        let issued = issued.map_err(|error| error.to_string())?;
        let installed = self.key.install(&issued);
        installed.map_err(|error| error.to_string())?;
        Ok((issued.basis, issued.renew_at))
    }

    async fn ready(&mut self) {
        if self.last_reason.take().is_some() {
            tracing::info!("the mesh is served");
        }
        self.health.set(true).await;
    }

    async fn not_ready(&mut self, reason: String) {
        self.health.set(false).await;
        if self.last_reason.as_ref() != Some(&reason) {
            tracing::warn!(reason, "the mesh cannot be served yet");
            self.last_reason = Some(reason);
        }
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
