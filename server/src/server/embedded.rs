//! A development server inside this process, for commands that need one to talk to.

use std::net::SocketAddr;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{Error, dev, listen, node, signals, tick};
use crate::config::args::ServerArgs;
use crate::config::env::Environment;
use crate::config::{self, ConfigError};
use crate::http::{self, Connections, Edge, Socket};

/// In memory, at a free port of the loopback interface, unsealed. It ends with the value, and takes
/// nothing from the environment and the home directory.
#[derive(Debug)]
pub(crate) struct EmbeddedServer {
    address: SocketAddr,
    root_token: Zeroizing<String>,
    runtime: Runtime,
    /// The server stops when its other end is gone.
    _running: watch::Sender<bool>,
}

impl EmbeddedServer {
    pub(crate) fn start(root_token: &str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let (running, stop) = watch::channel(false);
        let (address, root_token) = runtime.block_on(serve(root_token, stop))?;
        Ok(Self {
            address,
            root_token,
            runtime,
            _running: running,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Returns when the process is told to stop; from when `ready` is called it can be.
    pub(crate) fn wait_for_stop(&self, ready: impl FnOnce()) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut signals = signals::Signals::listen().map_err(Error::Signals)?;
            ready();
            signals.stop_again().await;
            Ok(())
        })
    }
}

async fn serve(
    root_token: &str,
    stop: watch::Receiver<bool>,
) -> Result<(SocketAddr, Zeroizing<String>), Error> {
    let args = ServerArgs {
        dev: true,
        dev_listen_address: Some("127.0.0.1:0".into()),
        dev_no_store_token: true,
        dev_root_token_id: Some(root_token.to_owned()),
        ..ServerArgs::default()
    };
    let settings = config::load(&args, &Environment::default())?;
    let node = node::build(&settings)?;
    let mut sockets = listen(&settings.listeners).await?;
    let (Some(dev), Some(listener), Some(Socket::Tcp(socket))) =
        (&settings.dev, settings.listeners.first(), sockets.pop())
    else {
        return Err(ConfigError(vec!["a development server listens at one address".into()]).into());
    };
    let address = socket.local_addr().map_err(|source| Error::Bind {
        address: "127.0.0.1".into(),
        source,
    })?;
    let keys = dev::unseal(&node, dev).await?;
    tokio::spawn(http::serve(
        Socket::Tcp(socket),
        Edge::new(node.clone(), listener.policy.clone()),
        listener.connections,
        Connections::new(),
        stop,
    ));
    tokio::spawn(tick(node));
    Ok((address, keys.root_token))
}
