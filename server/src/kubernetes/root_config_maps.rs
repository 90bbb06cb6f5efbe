//! The ConfigMap with the roots, in every namespace of the mesh. Pods mount it; without it they do not start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::PostParams;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Error};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::backoff;

/// The name that Istio's pods mount.
pub(crate) const NAME: &str = "istio-ca-root-cert";
const KEY: &str = "root-cert.pem";
const LABEL: (&str, &str) = ("istio.io/config", "true");

/// Namespaces that are worked on at the same time.
const CONCURRENCY: u16 = 8;

/// The roots as they are now; `None` while there are none to publish.
pub(super) type Roots = watch::Receiver<Option<Arc<str>>>;

/// The ConfigMap with these roots; the namespace of whoever applies it where none is given.
pub(crate) fn config_map(namespace: Option<&str>, roots: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(NAME.to_owned());
    map.metadata.namespace = namespace.map(str::to_owned);
    map.metadata.labels = Some([LABEL].map(owned).into());
    map.data = Some([(KEY, roots)].map(owned).into());
    map
}

/// Keeps the ConfigMap in all namespaces that `selector` selects, from when they are there until they go. Namespaces that
/// are selected no longer keep what they have: pods in them may still mount it.
pub(super) async fn keep(client: Client, selector: &str, roots: Roots) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let maps: Api<ConfigMap> = Api::all(client.clone());
    let mut selected = watcher::Config::default();
    if !selector.is_empty() {
        selected = selected.labels(selector);
    }
    let named = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let keeper = Arc::new(Keeper {
        client,
        roots: roots.clone(),
        failures: Mutex::default(),
    });
    Controller::new(namespaces, selected)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches(maps, named, |map| {
            map.metadata
                .namespace
                .map(|namespace| ObjectRef::new(&namespace))
        })
        .reconcile_all_on(changes(roots))
        .run(
            |namespace, keeper| async move { keeper.reconcile(&namespace).await },
            |namespace, error, keeper| keeper.failed(&namespace, error),
            keeper,
        )
        .for_each(|outcome| async {
            match outcome {
                // Failures are logged where the pause after them is decided; namespaces that are not selected have
                // ConfigMaps of that name too.
                Ok(_)
                | Err(
                    ControllerError::ReconcilerFailed(..) | ControllerError::ObjectNotFound(_),
                ) => {}
                Err(error) => {
                    tracing::warn!(error = %crate::server::error_chain(&error), "watching namespaces");
                }
            }
        })
        .await;
}

struct Keeper {
    client: Client,
    roots: Roots,
    /// In a row, by namespace.
    failures: Mutex<HashMap<String, u32>>,
}

impl Keeper {
    async fn reconcile(&self, namespace: &Namespace) -> Result<Action, Error> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let roots = self.roots.borrow().clone();
        let Some(roots) = roots.filter(|_| !is_terminating(namespace)) else {
            self.failures.lock().remove(name);
            return Ok(Action::await_change());
        };
        let wanted = config_map(Some(name), &roots);
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), name);
        match api.get_opt(NAME).await? {
            None => {
                api.create(&PostParams::default(), &wanted).await?;
                tracing::info!(namespace = name, "published the roots");
            }
            Some(found) => {
                if let Some(repaired) = repaired(found, wanted) {
                    api.replace(NAME, &PostParams::default(), &repaired).await?;
                    tracing::info!(namespace = name, "published the roots anew");
                }
            }
        }
        self.failures.lock().remove(name);
        Ok(Action::await_change())
    }

    fn failed(&self, namespace: &Namespace, error: &Error) -> Action {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let mut failures = self.failures.lock();
        let count = failures.entry(name.clone()).or_default();
        *count = count.saturating_add(1);
        let pause = backoff::pause(*count);
        tracing::warn!(
            namespace = name,
            error = %crate::server::error_chain(error),
            retry_secs = pause.as_secs(),
            "publishing the roots"
        );
        Action::requeue(pause)
    }
}

/// What is to be written in the place of `found`; nothing where it is right. Labels and annotations of others stay.
fn repaired(found: ConfigMap, wanted: ConfigMap) -> Option<ConfigMap> {
    let label = found
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(LABEL.0));
    let has_binary = found
        .binary_data
        .as_ref()
        .is_some_and(|data| !data.is_empty());
    if found.data == wanted.data && !has_binary && label.map(String::as_str) == Some(LABEL.1) {
        return None;
    }
    let mut repaired = found;
    repaired.data = wanted.data;
    repaired.binary_data = None;
    let labels: &mut BTreeMap<_, _> = repaired.metadata.labels.get_or_insert_default();
    labels.extend([LABEL].map(owned));
    Some(repaired)
}

fn is_terminating(namespace: &Namespace) -> bool {
    let phase = namespace
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_some() || phase == Some("Terminating")
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn changes(roots: Roots) -> impl Stream<Item = ()> {
    futures_util::stream::unfold(roots, |mut roots| async move {
        roots.changed().await.ok()?;
        Some(((), roots))
    })
}
