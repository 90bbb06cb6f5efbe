//! SIGHUP: what can change while the server runs.

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
    if settings.declared.kubernetes != new.declared.kubernetes {
        tracing::error!("changing the kubernetes block needs a restart");
    }
    reload_mesh(server, &new);
    settings.listeners = new.listeners;
    tracing::info!("configuration reloaded");
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
