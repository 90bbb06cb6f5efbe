//! Certificates for the workloads of a mesh, as Istio's agents and ztunnel ask for them.
//!
//! ```text
//! call --> who is it? (client certificate, token) --> for whom? (itself, a pod of its node)
//!      --> audit --> the PKI mount: vet, sign, store --> audit --> chain
//! ```
//!
//! No gRPC in here. The certificate passes through the same code as every other of its mount.

mod audit;
mod authenticate;
mod client_certificate;
pub mod counters;
mod error;
mod impersonate;
mod jwks;
mod serving;
mod settings;
mod spiffe;
mod token_review;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use signet_pki::vet::WorkloadLifetimes;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::call::Peer;
use crate::error::ApiError;
use crate::mount::Mount;
use crate::node::{Core, Node};
use crate::permit::Permit;
use crate::request::Request;
use crate::secrets::pki::Pki;
use crate::secrets::pki::workload::{IssuedWorkload, Ready, WorkloadError, WorkloadOrder};
use crate::time::Timestamp;

pub use authenticate::{Caller, Proof, TokenAuthenticator, TokenHolder, TokenVerdict};
pub use error::{MeshError, Status};
pub use impersonate::{CallerPod, ConfiguredNodes, NodePods, NodePodsError};
pub use jwks::{IssuerKeys, JwksAuthenticator};
pub use serving::{Basis, ServingCertificate};
pub use settings::{MeshSettings, ServingSettings};
pub use signet_pki::vet::CsrMode;
pub use spiffe::{ServiceAccount, SpiffeId, TrustDomain};
pub use token_review::KubernetesAuthenticator;

/// The certificate authority of a mesh: one mount and role of a node.
#[derive(Debug)]
pub struct Mesh {
    node: Arc<Node>,
    settings: ArcSwap<MeshSettings>,
    issuing: Semaphore,
}

/// One request for a certificate.
#[derive(Debug)]
pub struct CertificateCall {
    pub peer: Peer,
    /// From the header `authorization`, without `Bearer `.
    pub bearer: Option<Zeroizing<String>>,
    /// From the header `clusterid`; empty for the local cluster.
    pub cluster_id: String,
    /// PEM.
    pub csr: String,
    /// 0 and less mean the default.
    pub validity_secs: i64,
    /// The SPIFFE ID that a node's proxy asks for on behalf of a pod.
    pub impersonated: Option<String>,
}

/// Certificates that are computed and stored together. When more are asked for, the others wait, so that who asks
/// for something else, such as the server's health, waits behind few of them.
const ISSUED_AT_ONCE: usize = 64;

/// Where the certificates come from, at one moment.
struct Authority {
    pki: Pki,
    ready: Ready,
}

/// Everything about one call that stays the same while it is answered.
struct Context {
    core: Arc<Core>,
    settings: Arc<MeshSettings>,
    now: Timestamp,
}

impl Mesh {
    #[must_use]
    pub fn new(node: Arc<Node>, settings: MeshSettings) -> Arc<Self> {
        Arc::new(Self {
            node,
            settings: ArcSwap::from_pointee(settings),
            issuing: Semaphore::new(ISSUED_AT_ONCE),
        })
    }

    /// What holds for calls from now on.
    pub fn reload(&self, settings: MeshSettings) {
        self.settings.store(Arc::new(settings));
    }

    #[must_use]
    pub fn settings(&self) -> Arc<MeshSettings> {
        self.settings.load_full()
    }

    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The chain for a workload, in PEM: its certificate, each intermediate, all roots in one text.
    /// Each ends in exactly one newline.
    pub async fn create_certificate(
        &self,
        call: CertificateCall,
    ) -> Result<Vec<String>, MeshError> {
        let began = Instant::now();
        let answer = self.answer(call).await;
        let counters = &self.node.metrics.mesh;
        counters.answered(began.elapsed(), answer.as_ref().err());
        if let Err(error) = &answer {
            error.log();
        }
        answer
    }

    async fn answer(&self, call: CertificateCall) -> Result<Vec<String>, MeshError> {
        let context = self.context()?;
        let mount = context.mount();
        let request = audit::request(self, &context, mount.as_ref(), &call)?;
        let _counted = self.node.in_flight.enter(&request.call, context.now);
        let admitted = context.core.quotas.admit(&request.call, context.now).await;
        if let Some(refusal) = admitted.map_err(MeshError::from)?.refusal {
            self.node.metrics.rate_limit_violated(&refusal.quota);
            return Err(MeshError::Overloaded(
                "a rate limit quota is used up".into(),
            ));
        }
        let decided = self.decide(&context, mount.as_deref(), &call).await;
        let (caller, authority) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                audit::refused(&context, &request, &error).await?;
                return Err(error);
            }
        };
        let request = audit::with_caller(&context, request, &caller);
        let permit = Permit::for_workload(&caller);
        audit::accepted(&context, &request, &permit).await?;
        let turn = self.issuing.acquire().await.map_err(ApiError::internal)?;
        // Whoever has something else to do goes first.
        tokio::task::yield_now().await;
        let issued = self.issue(&context, &authority, &caller, &call).await;
        drop(turn);
        audit::answered(&context, &request, &permit, issued.as_ref()).await?;
        let issued = issued?;
        tracing::debug!(
            identity = %caller.identity,
            serial = issued.serial,
            not_after = issued.validity.not_after.0,
            proof = caller.proof.name(),
            cluster_id = call.cluster_id,
            token_id = caller.token_id.as_deref().unwrap_or_default(),
            key_sha256 = issued.key_sha256,
            "certificate issued to a workload"
        );
        Ok(issued.chain)
    }

    /// Who calls, and from where the certificate is to come.
    async fn decide(
        &self,
        context: &Context,
        mount: Option<&Mount>,
        call: &CertificateCall,
    ) -> Result<(Caller, Authority), MeshError> {
        let authority = context.authority(mount).await?;
        let caller = authenticate::caller(context, &authority, call).await?;
        let caller = match &call.impersonated {
            None => caller,
            Some(wanted) => impersonate::impersonate(context, caller, wanted).await?,
        };
        Ok((caller, authority))
    }

    async fn issue(
        &self,
        context: &Context,
        authority: &Authority,
        caller: &Caller,
        call: &CertificateCall,
    ) -> Result<IssuedWorkload, MeshError> {
        let settings = &context.settings;
        let identity = caller.identity.to_string();
        let order = WorkloadOrder {
            csr: &call.csr,
            identity: &identity,
            csr_mode: settings.csr_mode,
            asked_secs: call.validity_secs,
            lifetimes: WorkloadLifetimes {
                default_secs: settings.default_ttl_secs,
                max_secs: settings.max_ttl_secs,
                clamp: settings.clamp_ttl,
            },
            shorten_permille: self.jitter(settings)?,
        };
        let issued = authority
            .pki
            .issue_workload(&authority.ready, &order, context.now)
            .await;
        issued.map_err(|error| match error {
            WorkloadError::Refused(refusal) => MeshError::of_refusal(&refusal),
            WorkloadError::Failed(error) => error.into(),
        })
    }

    fn jitter(&self, settings: &MeshSettings) -> Result<u64, MeshError> {
        if settings.ttl_jitter_percent == 0 {
            return Ok(0);
        }
        let mut random = [0; 8];
        self.node.rng().fill(&mut random)?;
        let most_permille = u64::from(settings.ttl_jitter_percent) * 10;
        Ok(u64::from_be_bytes(random) % (most_permille + 1))
    }

    fn context(&self) -> Result<Context, MeshError> {
        let core = self
            .node
            .core()
            .ok_or_else(|| MeshError::Unavailable("the server is sealed".into()))?;
        Ok(Context {
            core,
            settings: self.settings.load_full(),
            now: self.node.now(),
        })
    }
}

impl Context {
    fn mount(&self) -> Option<Arc<Mount>> {
        self.core.mounts.get(&self.settings.mount)
    }

    async fn authority(&self, mount: Option<&Mount>) -> Result<Authority, MeshError> {
        let settings = &self.settings;
        let not_there = |what: &str| {
            let path = settings.mount.trim_end_matches('/');
            MeshError::Unavailable(format!("{path} {what}"))
        };
        let mount = mount.ok_or_else(|| not_there("is not mounted"))?;
        let pki = mount.engine.as_any().downcast_ref::<Pki>();
        let pki = pki.ok_or_else(|| not_there("is not a PKI mount"))?.clone();
        let ready = pki.ready(&settings.role, self.now).await?;
        let ready = ready.map_err(MeshError::Unavailable)?;
        Ok(Authority { pki, ready })
    }
}
