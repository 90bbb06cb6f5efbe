//! The certificate of the listener itself, issued from the same mount.

use zeroize::Zeroizing;

use super::error::MeshError;
use super::settings::ServingSettings;
use super::{Mesh, audit};
use crate::permit::Permit;
use crate::time::Timestamp;

/// What a serving certificate was made from; another one is due when this changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    mount_accessor: String,
    issuer_id: String,
    settings: ServingSettings,
}

/// A pair for a TLS listener.
#[derive(Debug)]
pub struct ServingCertificate {
    pub basis: Basis,
    /// DER, the certificate first, no root.
    pub chain: Vec<Vec<u8>>,
    /// PKCS #8.
    pub key: Zeroizing<Vec<u8>>,
    /// When two thirds of its life are over.
    pub renew_at: Timestamp,
}

impl Mesh {
    /// What a serving certificate would be made from now.
    ///
    /// # Errors
    /// What is missing before one can be made.
    pub async fn serving_basis(&self) -> Result<Basis, MeshError> {
        let context = self.context()?;
        let mount = context.mount();
        let authority = context.authority(mount.as_deref()).await?;
        let ready = &authority.ready;
        let counters = &self.node().metrics.mesh;
        counters.ends(ready.issuer_end().0, ready.first_root_end().0);
        Ok(Basis {
            mount_accessor: mount.map_or_else(String::new, |m| m.record.accessor.clone()),
            issuer_id: authority.ready.issuer_id().to_owned(),
            settings: context.settings.serving.clone(),
        })
    }

    /// Issues a pair for the listener.
    pub async fn issue_serving(&self) -> Result<ServingCertificate, MeshError> {
        let basis = self.serving_basis().await?;
        let context = self.context()?;
        let mount = context.mount();
        let authority = context.authority(mount.as_deref()).await?;
        let ServingSettings { names, ttl_secs } = &context.settings.serving;
        let request = audit::serving_request(self, &context, mount.as_ref())?;
        let permit = Permit::for_serving_certificate();
        audit::accepted(&context, &request, &permit).await?;
        let pair = authority
            .pki
            .issue_serving(&authority.ready, names, *ttl_secs, context.now)
            .await
            .map_err(MeshError::from);
        audit::answered(&context, &request, &permit, pair.as_ref()).await?;
        let pair = pair?;
        let (begin, end) = (pair.validity.not_before.0, pair.validity.not_after.0);
        let life = end.saturating_sub(begin);
        tracing::info!(
            names = names.join(","),
            not_after = end,
            "serving certificate issued"
        );
        Ok(ServingCertificate {
            basis,
            chain: pair.chain,
            key: pair.key,
            renew_at: Timestamp::from_secs(begin.saturating_add(life / 3 * 2)),
        })
    }
}
