//! Revoking over ACME (RFC 8555 §7.6): by the account that a certificate was issued for, or by
//! whoever has the certificate's key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use signet_pki::cert::Certificate;

use crate::call::Op;
use crate::endpoint::Route;
use crate::reply::{Body, Reply};
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::records::certificate_path;
use crate::secrets::pki::acme::session::{
    Action, Plain, Session, in_every_directory, json, type_name,
};
use crate::secrets::pki::revoke::{Target, revoke};

pub(in crate::secrets::pki) struct Revoke;

impl Action for Revoke {
    type Params = Plain;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "revoke-cert");
    const HELP: &'static str = "Revoke a certificate over ACME.";

    async fn act(session: &Session<'_>, _params: &Plain) -> Result<Reply, Failure> {
        check_reason(session.member("reason"))?;
        let certificate = certificate(session.member("certificate"))?;
        let engine = session.cx.engine;
        let serial = certificate.serial();
        let stored = engine.certificate(serial).await?;
        let Some(stored) = stored.filter(|stored| stored.der == certificate.der()) else {
            let text = "unable to revoke certificate: it is not one of this mount";
            return Err(Kind::Malformed.because(text).into());
        };
        check_owner(session, &certificate).await?;
        if engine.revoked(serial).await?.is_some() {
            let text = "unable to revoke certificate";
            return Err(Kind::AlreadyRevoked.because(text).into());
        }
        if certificate.validity().not_after.0 <= session.now().secs() {
            let text = "unable to revoke certificate: it has expired";
            return Err(Kind::Malformed.because(text).into());
        }
        let target = Target {
            certificate,
            issuer_id: stored.issuer_id,
            is_stored: true,
        };
        let state = &session.directory.state;
        let revoked = revoke(session.cx, state, target).await?;
        let Body::Data(Some(data)) = revoked.body else {
            let text = revoked.warnings.join("; ");
            let text = format!("unable to revoke certificate: {text}");
            return Err(Kind::Malformed.because(text).into());
        };
        Ok(json(&data)?)
    }
}

async fn check_owner(session: &Session<'_>, certificate: &Certificate) -> Result<(), Failure> {
    match session.signed_in() {
        Some(account) => {
            let path = certificate_path(&account.id, &certificate.serial().to_hyphen_hex());
            if session.view().get(&path).await?.is_some() {
                return Ok(());
            }
            let text = "unable to revoke certificate: no certificate with this serial was issued \
                        for this account";
            Err(Kind::Malformed.because(text).into())
        }
        None if *certificate.public_key() == session.key.public => Ok(()),
        None => {
            let text = "unable to revoke certificate: unable to verify proof of possession of \
                        private key provided by proxy: provided private key does not match \
                        certificate's public key";
            Err(Kind::Malformed.because(text).into())
        }
    }
}

fn check_reason(value: Option<&Value>) -> Result<(), Problem> {
    match value {
        None => Ok(()),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(0) => Ok(()),
            _ => Err(Kind::BadRevocationReason.because(format!(
                "Vault does not support revocation reasons (got {number}; expected omitted or \
                 0/unspecified)"
            ))),
        },
        Some(other) => Err(Kind::Malformed.because(format!(
            "invalid type ({}; expected float64) for field 'reason'",
            type_name(other)
        ))),
    }
}

fn certificate(value: Option<&Value>) -> Result<Certificate, Problem> {
    let malformed = |text: String| Kind::Malformed.because(text);
    let text = match value {
        Some(Value::String(text)) => text,
        Some(other) => {
            return Err(malformed(format!(
                "invalid type ({}; expected string) for field 'certificate'",
                type_name(other)
            )));
        }
        None => {
            let text = "bad request was lacking required field 'certificate'";
            return Err(malformed(text.to_owned()));
        }
    };
    let der = URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        malformed("failed to base64 decode certificate: illegal base64 data".to_owned())
    })?;
    Certificate::parse_der(der)
        .map_err(|error| malformed(format!("failed to parse certificate: {error}")))
}
