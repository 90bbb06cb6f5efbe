//! Issuers, keys and configuration of a mount, parsed once and kept until they change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use signet_pki::cert::Certificate;
use signet_pki::issuer::{AiaUrls, Issuer};
use signet_pki::key::PrivateKey;
use signet_pki::role::Role;
use signet_pki::time::UnixTime;
use signet_storage::{Observer, Record, Version, View};

use crate::error::ApiError;
use crate::mount::MountEnvironment;
use crate::secrets::pki::acme::config::{ACME_CONFIG, AcmeConfig};
use crate::secrets::pki::authorities::Revision;
use crate::secrets::pki::config::crl::{CRL_CONFIG, CrlConfig};
use crate::secrets::pki::records::{
    AiaConfig, AuthorityId, CLUSTER_CONFIG, CONFIG, ClusterConfig, ISSUERS, ISSUERS_CONFIG,
    IssuerRecord, IssuersConfig, KEYS, KEYS_CONFIG, KeyRecord, KeysConfig, REVISION, URLS_CONFIG,
    role_path,
};

/// Roles kept in memory.
const CACHED_ROLES: usize = 1_000;

/// More issuers or keys than any mount has; bounds what one listing reads.
const MAX_OBJECTS: usize = 10_000;

/// The state of a mount at one moment.
#[derive(Debug)]
pub(super) struct State {
    /// Sorted by id.
    pub(super) issuers: Vec<Arc<IssuerState>>,
    /// Sorted by id.
    pub(super) keys: Vec<Arc<KeyState>>,
    pub(super) issuers_config: IssuersConfig,
    pub(super) keys_config: KeysConfig,
    pub(super) urls: AiaConfig,
    pub(super) cluster: ClusterConfig,
    pub(super) crl_config: CrlConfig,
    pub(super) acme: AcmeConfig,
    /// What a change of issuers or keys must find unchanged.
    pub(super) revision: Option<Version>,
    /// Made when somebody first asks.
    roots: OnceLock<Roots>,
}

/// The self-signed issuers that are not revoked: what relying parties are to trust.
#[derive(Debug)]
pub(super) struct Roots {
    links: Vec<Arc<ChainLink>>,
    /// All of them in one text, the oldest first: the same for the same roots, always and
    /// everywhere.
    pub(super) pem: String,
    /// When the first of them ends.
    pub(super) first_end: UnixTime,
}

impl Roots {
    fn of(issuers: &[Arc<IssuerState>]) -> Self {
        let mut roots: Vec<&Arc<IssuerState>> = issuers
            .iter()
            .filter(|issuer| issuer.record.revoked_at.is_none())
            .filter(|issuer| issuer.certificate.is_self_signed())
            .collect();
        roots.sort_by_key(|root| {
            let certificate = &root.certificate;
            (certificate.validity().not_before, certificate.der())
        });
        let ends = roots.iter().map(|r| r.certificate.validity().not_after);
        Self {
            first_end: ends.min().unwrap_or(UnixTime::MAX),
            pem: roots.iter().map(|root| root.link.pem.as_str()).collect(),
            links: roots.iter().map(|root| root.link.clone()).collect(),
        }
    }

    pub(super) fn holds(&self, link: &Arc<ChainLink>) -> bool {
        self.links.iter().any(|root| Arc::ptr_eq(root, link))
    }
}

/// An issuer, ready to sign if it can.
#[derive(Debug)]
pub(super) struct IssuerState {
    pub(super) record: IssuerRecord,
    pub(super) certificate: Certificate,
    /// With which issuers it shares a CRL.
    pub(super) authority: AuthorityId,
    /// Itself.
    pub(super) link: Arc<ChainLink>,
    /// Its chain, itself first unless the operator arranged it.
    pub(super) chain: Vec<Arc<ChainLink>>,
    /// Why it cannot sign, in the words of the API.
    pub(super) signer: Result<Arc<Issuer>, CannotSign>,
}

/// A certificate of a chain, written once.
#[derive(Debug)]
pub(super) struct ChainLink {
    /// With a newline at the end.
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    pub(super) is_root: bool,
}

impl ChainLink {
    fn of(certificate: &Certificate) -> Arc<Self> {
        Arc::new(Self {
            pem: certificate.to_pem(),
            der: certificate.der().to_vec(),
            is_root: certificate.is_self_issued(),
        })
    }

    /// Without a newline at the end.
    pub(super) fn trimmed_pem(&self) -> &str {
        self.pem.trim_end()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CannotSign {
    NoKey,
    /// The URLs of its certificates cannot be filled in.
    Urls(String),
}

/// A key, parsed.
#[derive(Debug)]
pub(super) struct KeyState {
    pub(super) record: KeyRecord,
    pub(super) key: Arc<PrivateKey>,
}

/// What the caches hold; dropped piece by piece as storage changes.
pub(super) struct StateCache {
    view: View,
    state: ArcSwapOption<State>,
    /// Counts changes, so that a state that was read before one is not kept after it.
    changes: AtomicU64,
    roles: Cache<String, Arc<Role>>,
}

impl std::fmt::Debug for StateCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateCache").finish_non_exhaustive()
    }
}

impl Observer for StateCache {
    fn changed(&self, paths: &[&str]) {
        for path in paths {
            // Certificates come and go all the time and are nothing of what is kept here.
            if let Some(name) = path.strip_prefix("role/") {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.roles.remove(name);
            } else if [ISSUERS, KEYS, CONFIG, REVISION]
                .iter()
                .any(|prefix| path.starts_with(prefix))
            {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.state.store(None);
            }
        }
    }
}

impl StateCache {
    pub(super) fn new(env: &MountEnvironment) -> Arc<Self> {
        let cache = Arc::new(Self {
            view: env.view.clone(),
            state: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            roles: Cache::new(CACHED_ROLES),
        });
        env.view.watch(cache.clone());
        cache
    }

    /// The current state.
    pub(super) async fn state(&self) -> Result<Arc<State>, ApiError> {
        if let Some(state) = self.state.load_full() {
            return Ok(state);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let state = Arc::new(State::load(&self.view).await?);
        self.state.store(Some(state.clone()));
        if self.changes.load(Ordering::SeqCst) != before {
            self.state.store(None);
        }
        Ok(state)
    }

    /// A role by name.
    pub(super) async fn role(&self, name: &str) -> Result<Option<Arc<Role>>, ApiError> {
        if let Some(role) = self.roles.get(name) {
            return Ok(Some(role));
        }
        let before = self.changes.load(Ordering::SeqCst);
        let Some(stored) = self.view.record::<RoleRecord>(&role_path(name)).await? else {
            return Ok(None);
        };
        let role = Arc::new(stored.value.0);
        self.roles.insert(name.to_owned(), role.clone());
        if self.changes.load(Ordering::SeqCst) != before {
            self.roles.remove(name);
        }
        Ok(Some(role))
    }
}

/// A role as it is stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct RoleRecord(pub(super) Role);

impl Record for RoleRecord {
    const FORMAT: u8 = 1;
}

impl State {
    async fn load(view: &View) -> Result<Self, ApiError> {
        // First: whatever changes after this is read makes a change based on it fail.
        let revision = view
            .record::<Revision>(REVISION)
            .await?
            .map(|stored| stored.version);
        let urls: AiaConfig = config(view, URLS_CONFIG).await?;
        let cluster: ClusterConfig = config(view, CLUSTER_CONFIG).await?;
        let mut keys = Vec::new();
        for (_, stored) in view
            .scan_records::<KeyRecord>(KEYS, None, MAX_OBJECTS)
            .await?
        {
            let key = PrivateKey::from_der(&stored.value.pkcs8).map_err(ApiError::internal)?;
            keys.push(Arc::new(KeyState {
                record: stored.value,
                key: Arc::new(key),
            }));
        }
        let mut parsed = Vec::new();
        for (_, stored) in view
            .scan_records::<IssuerRecord>(ISSUERS, None, MAX_OBJECTS)
            .await?
        {
            let der = stored.value.certificate.clone();
            let certificate = Certificate::parse_der(der).map_err(ApiError::internal)?;
            parsed.push((stored.value, certificate));
        }
        let links: HashMap<String, Arc<ChainLink>> = parsed
            .iter()
            .map(|(record, certificate)| (record.id.clone(), ChainLink::of(certificate)))
            .collect();
        let mut issuers = Vec::new();
        for (record, certificate) in parsed {
            let Some(link) = links.get(&record.id).cloned() else {
                continue;
            };
            let chain_ids = if record.manual_chain.is_empty() {
                &record.chain
            } else {
                &record.manual_chain
            };
            let chain = chain_ids
                .iter()
                .filter_map(|id| links.get(id).cloned())
                .collect();
            let key = keys.iter().find(|key| key.record.id == record.key_id);
            let signer = signer(&record, &certificate, key, &urls, &cluster);
            issuers.push(Arc::new(IssuerState {
                authority: AuthorityId::of(&certificate),
                record,
                certificate,
                link,
                chain,
                signer,
            }));
        }
        Ok(Self {
            issuers,
            keys,
            issuers_config: config(view, ISSUERS_CONFIG).await?,
            keys_config: config(view, KEYS_CONFIG).await?,
            urls,
            cluster,
            crl_config: config(view, CRL_CONFIG).await?,
            acme: config(view, ACME_CONFIG).await?,
            revision,
            roots: OnceLock::new(),
        })
    }

    pub(super) fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| Roots::of(&self.issuers))
    }

    /// The issuer that `reference` means: an id, a name or `default` in any case.
    pub(super) fn issuer(&self, reference: &str) -> Result<&Arc<IssuerState>, NotFound> {
        let wanted = if reference.is_empty() || reference.eq_ignore_ascii_case("default") {
            if self.issuers_config.default.is_empty() {
                return Err(NotFound::NoDefaultIssuer);
            }
            &self.issuers_config.default
        } else {
            reference
        };
        self.issuers
            .iter()
            .find(|issuer| issuer.record.id == wanted)
            .or_else(|| {
                self.issuers
                    .iter()
                    .find(|issuer| issuer.record.name == wanted)
            })
            .ok_or_else(|| NotFound::Issuer(reference.to_owned()))
    }

    /// The signing side of an issuer that has its key here, for what is not a certificate: URLs that
    /// cannot be filled in keep nothing from being revoked.
    pub(super) fn signer_of(&self, issuer: &IssuerState) -> Option<Arc<Issuer>> {
        if let Ok(signer) = &issuer.signer {
            return Some(signer.clone());
        }
        let id = &issuer.record.key_id;
        let key = self.keys.iter().find(|key| key.record.id == *id)?;
        let certificate = issuer.certificate.clone();
        Issuer::new(certificate, key.key.clone(), &AiaUrls::default())
            .map(Arc::new)
            .ok()
    }

    /// The key that `reference` means: an id, a name or `default` in any case.
    pub(super) fn key(&self, reference: &str) -> Result<&Arc<KeyState>, NotFound> {
        let wanted = if reference.is_empty() || reference.eq_ignore_ascii_case("default") {
            if self.keys_config.default.is_empty() {
                return Err(NotFound::NoDefaultKey);
            }
            &self.keys_config.default
        } else {
            reference
        };
        self.keys
            .iter()
            .find(|key| key.record.id == wanted)
            .or_else(|| self.keys.iter().find(|key| key.record.name == wanted))
            .ok_or_else(|| NotFound::Key(reference.to_owned()))
    }
}

/// A reference that leads nowhere; the texts are the API's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotFound {
    #[error("unable to find PKI issuer for reference: {0}")]
    Issuer(String),
    #[error("unable to find PKI key for reference: {0}")]
    Key(String),
    #[error("no default issuer currently configured")]
    NoDefaultIssuer,
    #[error("no default key currently configured")]
    NoDefaultKey,
}

fn signer(
    record: &IssuerRecord,
    certificate: &Certificate,
    key: Option<&Arc<KeyState>>,
    urls: &AiaConfig,
    cluster: &ClusterConfig,
) -> Result<Arc<Issuer>, CannotSign> {
    let key = key.ok_or(CannotSign::NoKey)?;
    let configured = record.urls(urls);
    let urls = configured
        .resolve(&record.id, cluster)
        .map_err(CannotSign::Urls)?;
    Issuer::new(certificate.clone(), key.key.clone(), &urls)
        .map(Arc::new)
        .map_err(|_| CannotSign::NoKey)
}

async fn config<T: Record + Default + DeserializeOwned>(
    view: &View,
    path: &str,
) -> Result<T, ApiError> {
    Ok(view
        .record::<T>(path)
        .await?
        .map(|stored| stored.value)
        .unwrap_or_default())
}
