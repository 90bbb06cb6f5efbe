//! `issuer/:issuer_ref/revoke`.

use signet_storage::Batch;

use super::{IssuerParams, find, pss_warning, view};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::records::{IssuerRecord, Usage};
use crate::secrets::pki::revoke::revocation;
use crate::secrets::pki::state::{IssuerState, State};

pub(in crate::secrets::pki) struct Revoke;

impl Endpoint for Revoke {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "issuer/{issuer_ref}/revoke")];
    const HELP: &'static str = "Revoke an issuer: it signs no more certificates, and its parent \
                                lists it on its CRL.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        if issuer.record.revoked_at.is_some() {
            return Ok(Reply::data(view(issuer))?.warn_all(pss_warning(issuer)));
        }
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        draft.replace_issuer(IssuerRecord {
            revoked_at: Some(cx.now),
            usage: Usage {
                issuing_certificates: false,
                ..issuer.record.usage
            },
            ..issuer.record.clone()
        });
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        let serial = issuer.certificate.serial();
        let stored = cx.engine.certificate(serial).await?;
        if let Some(stored) = stored.filter(|stored| stored.der == issuer.certificate.der())
            && cx.engine.revoked(serial).await?.is_none()
        {
            let revoked = revocation(&state, &issuer.certificate, &stored.issuer_id, cx.now);
            cx.engine.put_revocation(&mut batch, serial, &revoked);
        }
        cx.commit(batch).await?;

        let after = cx.engine.state.state().await?;
        let revoked = find(&after, &issuer.record.id)?;
        Ok(Reply::data(view(revoked))?
            .warn_all(pss_warning(revoked))
            .warn_all(parent_warning(&state, issuer).map(str::to_owned))
            .warn_all(default_warning(&state, issuer).map(str::to_owned)))
    }
}

fn parent_warning(state: &State, issuer: &IssuerState) -> Option<&'static str> {
    if issuer.certificate.is_self_signed() {
        return Some(
            "This issuer is a self-signed (potentially root) certificate. This means it may not \
             be considered revoked if there is not an external, cross-signed variant of this \
             certificate. This issuer's serial number will not appear on its own CRL.",
        );
    }
    let has_parent = state
        .issuers
        .iter()
        .any(|parent| issuer.certificate.is_signed_by(&parent.certificate));
    (!has_parent).then_some(
        "This issuer lacks another parent issuer within the mount. This means it will not appear \
         on any other CRLs and may not be considered revoked by clients. Consider adding this \
         issuer to its issuer's CRL as well if it is not self-signed.",
    )
}

fn default_warning(state: &State, issuer: &IssuerState) -> Option<&'static str> {
    (issuer.record.id == state.issuers_config.default).then_some(
        "This issuer is currently configured as the default issuer for this mount; operations \
         such as certificate issuance may not work until a new default issuer is selected.",
    )
}
