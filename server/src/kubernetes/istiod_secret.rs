//! The Secret with istiod's serving certificate, which istiod reads at its start and when it changes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use zeroize::Zeroizing;

use super::authority::{Authority, AuthorityError};
use super::backoff;
use super::root_config_maps::Roots;
use super::serving_pair::{ServingPair, Unfit, Validity};
use crate::config::IstiodSettings;

const TYPE: &str = "kubernetes.io/tls";
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";
const ROOTS: &str = "ca.crt";

/// The longest time without a look at the clock, which may be set.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// The Secret with this pair; the namespace of whoever applies it where none is given.
pub(crate) fn secret(namespace: Option<&str>, name: &str, pair: &ServingPair) -> Secret {
    let mut secret = Secret {
        data: Some(data(pair)),
        type_: Some(TYPE.to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = namespace.map(str::to_owned);
    secret
}

#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("what the role issues does not do")]
    Unfit(#[from] Unfit),
}

/// Keeps the Secret: issues a pair where there is none that does, renews it in time, repairs what others changed.
pub(super) async fn keep(
    client: Client,
    settings: &IstiodSettings,
    authority: &Authority,
    mut roots: Roots,
) {
    let keeper = Keeper {
        api: Api::namespaced(client, &settings.names.namespace),
        settings,
        authority,
    };
    let named =
        watcher::Config::default().fields(&format!("metadata.name={}", settings.secret_name));
    let changes = watcher(keeper.api.clone(), named)
        .default_backoff()
        .touched_objects();
    let mut changes = pin!(changes);
    let mut failures = 0;
    loop {
        let published = roots.borrow_and_update().clone();
        let wait = match published {
            None => LOOK_AGAIN,
            Some(published) => match keeper.look(&published).await {
                Ok(wait) => {
                    failures = 0;
                    wait
                }
                Err(error) => {
                    failures += 1;
                    let pause = backoff::pause(failures);
                    tracing::warn!(
                        secret = settings.secret_name,
                        error = %crate::server::error_chain(&error),
                        retry_secs = pause.as_secs(),
                        "keeping istiod's certificate"
                    );
                    pause
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(change) = changes.next() => {
                if let Err(error) = change {
                    tracing::warn!(
                        error = %crate::server::error_chain(&error),
                        "watching istiod's certificate"
                    );
                }
            }
            Ok(()) = roots.changed() => {}
        }
    }
}

struct Keeper<'a> {
    api: Api<Secret>,
    settings: &'a IstiodSettings,
    authority: &'a Authority,
}

impl Keeper<'_> {
    /// Makes the Secret right if it is not; for how long it will be.
    async fn look(&self, roots: &str) -> Result<Duration, SecretError> {
        let name = &self.settings.secret_name;
        let now = self.authority.now();
        let found = self.api.get_opt(name).await?;
        let mut kept = None;
        if let Some(pair) = found.as_ref().and_then(|found| pair(found, roots)) {
            match pair.check(&self.settings.names, now) {
                Ok(validity) => {
                    let left = self.renew_at(validity).saturating_sub(now.secs());
                    if left > 0 {
                        kept = Some((pair, left));
                    }
                }
                Err(error) => {
                    tracing::info!(secret = name, reason = %error, "replacing istiod's certificate");
                }
            }
        }
        let (pair, left) = match kept {
            Some(kept) => kept,
            None => self.issue(roots).await?,
        };
        self.write(found, &pair).await?;
        let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
        Ok(left.min(LOOK_AGAIN))
    }

    /// A new pair with a new key, and the seconds until it is to be renewed.
    async fn issue(&self, roots: &str) -> Result<(ServingPair, i64), SecretError> {
        let fields = self.settings.names.request(self.settings.ttl);
        let data = self.authority.issue(&self.settings.role, fields).await?;
        let pair = ServingPair::from_answer(&data, roots)?;
        let now = self.authority.now();
        let validity = pair.check(&self.settings.names, now)?;
        let left = self.renew_at(validity).saturating_sub(now.secs());
        Ok((pair, left.max(SHORTEST_SECS)))
    }

    /// In seconds since 1970.
    fn renew_at(&self, validity: Validity) -> i64 {
        let lifetime = validity.not_after.saturating_sub(validity.not_before);
        let half = lifetime / 2;
        let before = self
            .settings
            .renew_before
            .and_then(|before| i64::try_from(before.as_secs()).ok())
            .unwrap_or(half);
        // What the role gives may be shorter than what was asked for.
        let before = if before < lifetime { before } else { half };
        validity.not_after.saturating_sub(before)
    }

    async fn write(&self, found: Option<Secret>, pair: &ServingPair) -> Result<(), SecretError> {
        let name = &self.settings.secret_name;
        let Some(found) = found else {
            let secret = secret(Some(&self.settings.names.namespace), name, pair);
            self.api.create(&PostParams::default(), &secret).await?;
            tracing::info!(secret = name, "made istiod's certificate");
            return Ok(());
        };
        let wanted = Some(data(pair));
        if found.data == wanted && found.type_.as_deref() == Some(TYPE) {
            return Ok(());
        }
        // Labels, annotations and owners of others stay.
        let repaired = Secret {
            data: wanted,
            type_: Some(TYPE.to_owned()),
            ..found
        };
        self.api
            .replace(name, &PostParams::default(), &repaired)
            .await?;
        tracing::info!(secret = name, "wrote istiod's certificate");
        Ok(())
    }
}

/// The pair of a Secret, to be verified with these roots.
fn pair(secret: &Secret, roots: &str) -> Option<ServingPair> {
    let data = secret.data.as_ref()?;
    let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
    Some(ServingPair {
        chain: text(CHAIN)?,
        key: Zeroizing::new(text(KEY)?),
        roots: roots.to_owned(),
    })
}

fn data(pair: &ServingPair) -> BTreeMap<String, ByteString> {
    [
        (CHAIN, pair.chain.as_str()),
        (KEY, pair.key.as_str()),
        (ROOTS, pair.roots.as_str()),
    ]
    .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
    .into()
}

/// Between two renewals, whatever the lifetimes are.
const SHORTEST_SECS: i64 = 5;
