//! What a pod knows of the cluster it runs in.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// The pod in which this process runs, if it does. Its files are renewed by the kubelet: they are
/// read for each use.
#[async_trait]
pub trait LocalCluster: Send + Sync + fmt::Debug {
    async fn pod(&self) -> LocalPod;
}

/// Empty outside of a cluster.
#[derive(Clone, Default)]
pub struct LocalPod {
    /// URL of the API server, e.g. `https://10.96.0.1:443`.
    pub host: Option<String>,
    /// Certificates that vouch for the API server, in PEM.
    pub ca_pem: Option<String>,
    /// The token of the pod's service account.
    pub token: Option<Zeroizing<String>>,
}

impl fmt::Debug for LocalPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalPod")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// No pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutsideCluster;

#[async_trait]
impl LocalCluster for OutsideCluster {
    async fn pod(&self) -> LocalPod {
        LocalPod::default()
    }
}
