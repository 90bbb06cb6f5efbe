//! `-dev`: a server that is ready at once.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use signet_api::mount::MountConfig;
use signet_api::node::Node;
use signet_api::random::base62;
use signet_api::time::{Clock as _, SystemClock};
use signet_api::token::TokenRecord;
use signet_storage::{Batch, SealConfig, UnsealKey};
use zeroize::Zeroizing;

use super::dev_tls::DevCertificate;
use super::{Error, dev_tls, machine, private_file};
use crate::config::{ClientCertificates, DevSettings, DevTls, Settings, TlsSettings, Versions};

/// What the operator of a development server is shown.
#[derive(Debug)]
pub(super) struct DevKeys {
    pub(super) unseal_key: Zeroizing<String>,
    pub(super) root_token: Zeroizing<String>,
}

/// Files that are there before the server is; temporary ones go with the value.
#[derive(Debug)]
pub(super) struct DevFiles {
    pub(super) certificate: DevCertificate,
    temporary: Option<PathBuf>,
}

impl Drop for DevFiles {
    fn drop(&mut self) {
        if let Some(directory) = &self.temporary {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Makes the data directory and the certificate, and gives the certificate to the first listener.
pub(super) fn prepare(settings: &mut Settings) -> Result<Option<DevFiles>, Error> {
    let Some(dev) = &settings.dev else {
        return Ok(None);
    };
    if let Some(directory) = &dev.directory {
        private_file::directory(directory).map_err(|source| file_error(directory, source))?;
    }
    let Some(tls) = &dev.tls else {
        return Ok(None);
    };
    let files = certificate(tls)?;
    if let Some(listener) = settings.listeners.first_mut() {
        listener.tls = Some(TlsSettings {
            certificate: files.certificate.certificate.clone(),
            key: files.certificate.key.clone(),
            versions: Versions::Tls12And13,
            cipher_suites: Vec::new(),
            clients: ClientCertificates::Ask { hints: None },
        });
    }
    Ok(Some(files))
}

fn certificate(tls: &DevTls) -> Result<DevFiles, Error> {
    let (directory, temporary) = if let Some(directory) = &tls.directory {
        std::fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;
        (directory.clone(), None)
    } else {
        let name = format!("signet-dev-tls-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // Left over from a process of the same number, or put there by somebody else.
        let _ = std::fs::remove_dir_all(&directory);
        private_file::directory(&directory).map_err(|source| file_error(&directory, source))?;
        (directory.clone(), Some(directory))
    };
    let hostname = machine::hostname();
    let certificate = dev_tls::create(&directory, hostname.as_deref(), SystemClock.now())?;
    Ok(DevFiles {
        certificate,
        temporary,
    })
}

/// Initializes what is new, unseals, and sees to it that the root token works.
pub(super) async fn unseal(node: &Node, dev: &DevSettings) -> Result<DevKeys, Error> {
    let kept = match &dev.directory {
        Some(directory) => Kept::read(directory)?,
        None => None,
    };
    let kept = match kept {
        Some(kept) => kept.with_root_token(dev.root_token.as_ref()),
        None if node.sealed.seal_config().await?.is_some() => {
            return Err(Error::Seal(format!(
                "the store in the directory of -dev-storage-path was not made by -dev: there is no {KEYS_FILE}"
            )));
        }
        None => Kept::new(node, dev.root_token.as_ref())?,
    };
    // Before the store: a store whose keys nobody knows is lost.
    if let Some(directory) = &dev.directory {
        kept.write(directory)?;
    }
    let key = BASE64_STANDARD
        .decode(kept.unseal_key.as_bytes())
        .map(Zeroizing::new)
        .ok()
        .and_then(|bytes| UnsealKey::from_bytes(&bytes).ok())
        .ok_or_else(|| Error::Seal(format!("the unseal key in {KEYS_FILE} is damaged")))?;
    if node.sealed.seal_config().await?.is_none() {
        let config = SealConfig::shamir(1, 1).map_err(|error| Error::Seal(error.to_string()))?;
        let token = Some(kept.root_token.clone());
        let initialized = node.initialize(config, Some(key), token).await?;
        node.start_initialized(&initialized).await?;
        mount_secrets(node, dev.kv_versions).await?;
    } else {
        let store = node.sealed.unseal(&key).await?;
        node.start(store).await?;
        ensure_root_token(node, &kept.root_token).await?;
    }
    if let Some(home) = &dev.token_home {
        let path = home.join(".vault-token");
        if let Err(error) = private_file::write(&path, kept.root_token.as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "root token not stored");
        }
    }
    Ok(DevKeys {
        unseal_key: kept.unseal_key,
        root_token: kept.root_token,
    })
}

/// Mounts the store of secrets that a new development server has.
async fn mount_secrets(node: &Node, versions: bool) -> Result<(), Error> {
    let Some(core) = node.core() else {
        return Ok(());
    };
    let version = if versions { "2" } else { "1" };
    let config = MountConfig {
        description: "key/value secret storage".into(),
        options: Some([("version".to_owned(), version.to_owned())].into()),
        ..MountConfig::default()
    };
    core.mounts
        .mount("secret/", "kv", config, false, false)
        .await?;
    Ok(())
}

/// Makes the root token if the store does not have it: revoked, or another one was asked for.
async fn ensure_root_token(node: &Node, secret: &Zeroizing<String>) -> Result<(), Error> {
    let Some(core) = node.core() else {
        return Ok(());
    };
    let now = node.now();
    if core.tokens.lookup(secret, now).await?.is_some() {
        return Ok(());
    }
    let record = TokenRecord {
        policies: vec!["root".into()],
        path: "auth/token/root".into(),
        display_name: "root".into(),
        created_at: now,
        no_lease: true,
        ..TokenRecord::default()
    };
    let mut batch = Batch::default();
    core.tokens
        .create(&mut batch, record, Some(secret.clone()))?;
    core.store.commit(batch).await?;
    Ok(())
}

/// What a development server with a directory keeps in it, in clear.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Base64.
    unseal_key: Zeroizing<String>,
    root_token: Zeroizing<String>,
}

const KEYS_FILE: &str = "dev-keys.json";

impl Kept {
    fn new(node: &Node, root_token: Option<&Zeroizing<String>>) -> Result<Self, Error> {
        let mut key = Zeroizing::new([0; UnsealKey::LENGTH]);
        node.rng().fill(key.as_mut_slice())?;
        let root_token = match root_token {
            Some(given) => given.clone(),
            None => Zeroizing::new(format!("hvs.{}", base62(node.rng(), 24)?)),
        };
        let unseal_key = Zeroizing::new(BASE64_STANDARD.encode(key.as_slice()));
        Ok(Self {
            unseal_key,
            root_token,
        })
    }

    fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(KEYS_FILE);
        let bytes = match std::fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file_error(&path, source)),
        };
        let kept = serde_json::from_slice(&bytes);
        kept.map(Some)
            .map_err(|source| file_error(&path, source.into()))
    }

    fn with_root_token(self, asked: Option<&Zeroizing<String>>) -> Self {
        match asked {
            Some(root_token) => Self {
                root_token: root_token.clone(),
                ..self
            },
            None => self,
        }
    }

    fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(KEYS_FILE);
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(std::io::Error::from)
            .and_then(|bytes| private_file::write(&path, &bytes))
            .map_err(|source| file_error(&path, source))
    }
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}
