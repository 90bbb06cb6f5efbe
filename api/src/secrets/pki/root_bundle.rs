//! What those who trust a mount are to trust: its roots.

use crate::error::{ApiError, ErrorKind};
use crate::node::Core;
use crate::secrets::pki::Pki;

/// The self-signed certificates among the issuers of the PKI mount at `path` (without a slash at its end), as PEM with one
/// newline after each. An issuer is in it from when it is imported or made until it is revoked or deleted, so that a new
/// root can be published before anything is signed under it.
///
/// The bytes depend on the certificates alone, the oldest comes first. Clients that compare bundles as texts see a change
/// only where there is one.
///
/// # Errors
/// `UnsupportedPath` where there is no PKI mount at `path`, `Internal` where none of its issuers is self-signed: an
/// intermediate alone is no anchor for many verifiers.
pub async fn root_bundle(core: &Core, path: &str) -> Result<String, ApiError> {
    let missing = || {
        let text = format!("there is no PKI mount at {path}/");
        ApiError::plain(ErrorKind::UnsupportedPath, text)
    };
    let below = format!("{path}/");
    let (mount, _) = core
        .mounts
        .route(&below)
        .filter(|(mount, _)| mount.path == below)
        .ok_or_else(missing)?;
    let pki: &Pki = mount.engine.as_any().downcast_ref().ok_or_else(missing)?;
    let state = pki.state.state().await?;
    let roots = &state.roots().pem;
    if roots.is_empty() {
        let text =
            format!("no issuer of {path}/ is self-signed: import the root's certificate there too");
        return Err(ApiError::plain(ErrorKind::Internal, text));
    }
    Ok(roots.clone())
}
