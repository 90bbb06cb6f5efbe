//! The pod that this process runs in, from what the kubelet puts into it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use signet_api::kubernetes::{LocalCluster, LocalPod};
use zeroize::Zeroizing;

const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[derive(Debug)]
pub(super) struct Pod {
    /// URL of the API server.
    host: String,
    folder: PathBuf,
}

impl Pod {
    pub(super) fn at(host: String) -> Self {
        Self {
            host,
            folder: FOLDER.into(),
        }
    }
}

#[async_trait]
impl LocalCluster for Pod {
    /// Files that cannot be read are absent: a pod may be without the token of a service account.
    async fn pod(&self) -> LocalPod {
        LocalPod {
            host: Some(self.host.clone()),
            ca_pem: text(&self.folder.join("ca.crt"))
                .await
                .map(|mut pem| std::mem::take(&mut *pem)),
            token: text(&self.folder.join("token"))
                .await
                .map(|token| Zeroizing::new(token.trim().to_owned())),
        }
    }
}

async fn text(path: &Path) -> Option<Zeroizing<String>> {
    let text = tokio::fs::read_to_string(path).await.ok()?;
    (!text.trim().is_empty()).then(|| Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_read_for_each_use() {
        let folder = tempfile::tempdir().unwrap();
        let pod = Pod {
            host: "https://10.0.0.1:443".into(),
            folder: folder.path().to_owned(),
        };
        let found = pod.pod().await;
        assert_eq!(found.host.as_deref(), Some("https://10.0.0.1:443"));
        assert!(found.token.is_none() && found.ca_pem.is_none());
        std::fs::write(folder.path().join("token"), "one\n").unwrap();
        std::fs::write(folder.path().join("ca.crt"), "pem").unwrap();
        let found = pod.pod().await;
        assert_eq!(found.token.unwrap().as_str(), "one");
        assert_eq!(found.ca_pem.as_deref(), Some("pem"));
        std::fs::write(folder.path().join("token"), "two").unwrap();
        assert_eq!(pod.pod().await.token.unwrap().as_str(), "two");
    }
}
