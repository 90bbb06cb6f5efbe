//! SIGHUP: what can change while the server runs.

use signet_api::mount::SystemTtl;
use signet_api::node::Node;

use super::logging::LogHandle;
use super::{Running, error_chain, tls};
use crate::config::args::ServerArgs;
use crate::config::env::Environment;
use crate::config::{self, Settings};

/// Opens log and audit files again and reads the configuration: log level, certificates, headers and limits of the
/// listeners, and the mesh. A configuration with faults changes nothing.
pub(super) async fn reload(
    args: &ServerArgs,
    environment: &Environment,
    settings: &mut Settings,
    log: &LogHandle,
    server: &Running,
    node: &Node,
) {
    log.reopen_file();
    if let Some(core) = node.core() {
        core.audit.reopen().await;
    }
    let mut new = match config::load(args, environment) {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(error = %error, "configuration not reloaded");
            return;
        }
    };
    for warning in &new.warnings {
        tracing::warn!("{warning}");
    }
    log.set_level(new.log.level);
    if !config::same_sockets(&settings.listeners, &new.listeners) {
        tracing::error!("listeners were added, removed or moved: that needs a restart");
        return;
    }
    // The certificate of -dev-tls was made at start and is in no file that was read now.
    if settings.dev.as_ref().is_some_and(|dev| dev.tls.is_some())
        && let (Some(old), Some(new)) = (settings.listeners.first(), new.listeners.first_mut())
    {
        new.tls.clone_from(&old.tls);
    }
    for (index, listener) in new.listeners.iter().enumerate() {
        if let Some(edge) = server.edges.get(index) {
            edge.reload(listener.policy.clone());
        }
        let slot = server.tls.get(index).and_then(Option::as_ref);
        match (&listener.tls, slot) {
            (Some(tls), Some(slot)) => match tls::server_config(tls) {
                Ok(config) => slot.store(config),
                Err(error) => {
                    tracing::error!(error = %error_chain(&error), "certificate not reloaded");
                }
            },
            (None, None) => {}
            _ => tracing::error!("turning TLS on or off needs a restart"),
        }
    }
    for what in changed_in_vain(settings, &new) {
        tracing::error!("changing {what} needs a restart");
    }
    reload_mesh(server, &new);
    settings.listeners = new.listeners;
    tracing::info!("configuration reloaded");
}

/// What is read at the start only.
fn changed_in_vain(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let lease_times = |settings: &Settings| {
        let SystemTtl {
            default_secs,
            max_secs,
        } = settings.system_ttl;
        (default_secs, max_secs)
    };
    // By their names: what is secret is not compared.
    let seal_keys = |settings: &Settings| {
        let seal = settings.seal.as_ref()?;
        let previous = seal.previous.as_ref().map(|key| key.id.clone());
        Some((seal.current.id.clone(), previous))
    };
    let changes = [
        ("api_addr", old.api_addr != new.api_addr),
        ("cluster_name", old.cluster_name != new.cluster_name),
        (
            "default_lease_ttl and max_lease_ttl",
            lease_times(old) != lease_times(new),
        ),
        ("log_file", old.log.file != new.log.file),
        ("log_format", old.log.format != new.log.format),
        ("pid_file", old.pid_file != new.pid_file),
        ("rsa_keys_ahead", old.rsa_keys_ahead != new.rsa_keys_ahead),
        ("the audit blocks", old.declared.audit != new.declared.audit),
        (
            "the kubernetes block",
            old.declared.kubernetes != new.declared.kubernetes,
        ),
        ("the seal block", seal_keys(old) != seal_keys(new)),
        ("the storage block", old.storage != new.storage),
        (
            "the user_lockout blocks",
            old.user_lockout != new.user_lockout,
        ),
    ];
    let changes = changes.into_iter();
    changes
        .filter_map(|(what, is_changed)| is_changed.then_some(what))
        .collect()
}

fn reload_mesh(server: &Running, new: &Settings) {
    match (&server.mesh, &new.declared.istio_csr) {
        (Some(edge), Some(config)) => {
            if let Err(error) = edge.reload(config) {
                tracing::error!(error = %error_chain(&error), "istio_csr not reloaded");
            }
        }
        (None, None) => {}
        _ => tracing::error!("adding or removing istio_csr needs a restart"),
    }
}
