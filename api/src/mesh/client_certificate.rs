//! Renewal with the certificate that is about to end.

use super::error::MeshError;
use super::spiffe::SpiffeId;
use super::{Authority, Context};

/// Who holds `certificate`, DER, whose private key the TLS handshake proved.
///
/// # Errors
/// `Unauthenticated` for a certificate that is not of this mount and role, is revoked, not valid now,
/// or does not name exactly one workload of the mesh.
pub(super) async fn identity(
    context: &Context,
    authority: &Authority,
    certificate: &[u8],
) -> Result<SpiffeId, MeshError> {
    let uris = authority
        .pki
        .workload_of(&authority.ready, certificate, context.now)
        .await?
        .map_err(MeshError::Unauthenticated)?;
    let [uri] = uris.as_slice() else {
        let text = format!("the client certificate has {} URIs", uris.len());
        return Err(MeshError::Unauthenticated(text));
    };
    let identity = SpiffeId::parse(uri).ok_or_else(|| {
        MeshError::Unauthenticated(format!("the client certificate's URI is {uri:?}"))
    })?;
    if *identity.trust_domain() != context.settings.trust_domain {
        return Err(MeshError::Unauthenticated(format!(
            "the client certificate is of the trust domain {}",
            identity.trust_domain()
        )));
    }
    Ok(identity)
}
