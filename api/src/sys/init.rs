//! `sys/init`: the keys of a new server, shown once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use signet_storage::{SealConfig, SealConfigError};
use zeroize::Zeroizing;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{Field, FieldKind, NoParams};
use crate::reply::Reply;
use crate::seal::{Initialized, RecoveryShares};
use crate::sys::Sys;
use crate::sys::strict::{Strict, StrictFields};

pub(super) struct ReadInit;

impl Endpoint for ReadInit {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::open(Op::Read, "init")];
    const HELP: &'static str = "Returns the initialization status of the server.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let initialized = cx.node.sealed.seal_config().await?.is_some();
        Reply::bare(json!({ "initialized": initialized }))
    }
}

pub(super) struct Init;

pub(super) struct InitRequest;

impl StrictFields for InitRequest {
    const NAME: &'static str = "InitRequest";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "pgp_keys",
            FieldKind::StringList,
            "PGP keys to encrypt the shares with. Not supported: must be empty.",
        ),
        Field::new(
            "recovery_pgp_keys",
            FieldKind::StringList,
            "PGP keys to encrypt the recovery shares with. Not supported: must be empty.",
        ),
        Field::new(
            "recovery_shares",
            FieldKind::Int,
            "Number of shares to split the recovery key into. Only with an automatic unseal.",
        ),
        Field::new(
            "recovery_threshold",
            FieldKind::Int,
            "Number of shares needed to prove possession of the recovery key.",
        ),
        Field::new(
            "root_token_pgp_key",
            FieldKind::String,
            "PGP key to encrypt the root token with. Not supported: must be empty.",
        ),
        Field::new(
            "secret_shares",
            FieldKind::Int,
            "Number of shares to split the unseal key into.",
        ),
        Field::new(
            "secret_threshold",
            FieldKind::Int,
            "Number of shares needed to unseal.",
        ),
        Field::new(
            "stored_shares",
            FieldKind::Int,
            "Accepted for old clients and ignored.",
        ),
    ];
}

impl Endpoint for Init {
    type Engine = Sys;
    type Params = Strict<InitRequest>;

    const ROUTES: &'static [Route] = &[Route::open(Op::Write, "init")];
    const HELP: &'static str = "Initialize a new server.";

    async fn handle(cx: Cx<'_, Sys>, params: Strict<InitRequest>) -> Result<Reply, ApiError> {
        let wanted = Wanted::read(&params)?;
        let is_static = cx.node.ceremonies.static_seal().is_some();
        let initialized = if is_static {
            wanted.refuse("static", &wanted.for_shamir())?;
            let recovery = wanted.recovery()?;
            cx.node.initialize_static(recovery).await?
        } else {
            wanted.refuse("shamir", &wanted.for_recovery())?;
            let config = wanted.shamir()?;
            cx.node.initialize(config, None, None).await?
        };
        Reply::bare(answer(&initialized))
    }
}

struct Wanted {
    secret_shares: i64,
    secret_threshold: i64,
    pgp_keys: Vec<String>,
    recovery_shares: i64,
    recovery_threshold: i64,
    recovery_pgp_keys: Vec<String>,
    root_token_pgp_key: Zeroizing<String>,
}

impl Wanted {
    fn read(body: &Strict<InitRequest>) -> Result<Self, ApiError> {
        body.int("stored_shares")?;
        Ok(Self {
            secret_shares: body.int("secret_shares")?,
            secret_threshold: body.int("secret_threshold")?,
            pgp_keys: body.texts("pgp_keys")?,
            recovery_shares: body.int("recovery_shares")?,
            recovery_threshold: body.int("recovery_threshold")?,
            recovery_pgp_keys: body.texts("recovery_pgp_keys")?,
            root_token_pgp_key: body.text("root_token_pgp_key")?,
        })
    }

    /// The given parameters that only mean something where people hold the unseal key.
    fn for_shamir(&self) -> Vec<&'static str> {
        given([
            ("secret_shares", self.secret_shares != 0),
            ("secret_threshold", self.secret_threshold != 0),
            ("pgp_keys", !self.pgp_keys.is_empty()),
        ])
    }

    /// The given parameters that only mean something where the server unseals itself.
    fn for_recovery(&self) -> Vec<&'static str> {
        given([
            ("recovery_shares", self.recovery_shares != 0),
            ("recovery_threshold", self.recovery_threshold != 0),
            ("recovery_pgp_keys", !self.recovery_pgp_keys.is_empty()),
        ])
    }

    fn refuse(&self, seal: &str, misplaced: &[&str]) -> Result<(), ApiError> {
        if !misplaced.is_empty() {
            return Err(ApiError::bad_request(format!(
                "parameters {} not applicable to seal type {seal}",
                misplaced.join(",")
            )));
        }
        if !self.root_token_pgp_key.is_empty() {
            return Err(pgp_unsupported());
        }
        Ok(())
    }

    fn shamir(&self) -> Result<SealConfig, ApiError> {
        let config = checked("seal", self.secret_shares, self.secret_threshold)?;
        check_pgp_keys("seal", &self.pgp_keys, config.secret_shares)?;
        Ok(config)
    }

    fn recovery(&self) -> Result<Option<RecoveryShares>, ApiError> {
        if self.recovery_shares == 0 && self.recovery_threshold == 0 {
            return Ok(None);
        }
        let config = checked("recovery", self.recovery_shares, self.recovery_threshold)?;
        check_pgp_keys("recovery", &self.recovery_pgp_keys, config.secret_shares)?;
        Ok(Some(RecoveryShares {
            shares: config.secret_shares,
            threshold: config.secret_threshold,
        }))
    }
}

fn given<const N: usize>(parameters: [(&'static str, bool); N]) -> Vec<&'static str> {
    parameters
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
}

fn checked(what: &str, shares: i64, threshold: i64) -> Result<SealConfig, ApiError> {
    SealConfig::shamir(shares, threshold).map_err(|error: SealConfigError| {
        ApiError::bad_request(format!("invalid {what} configuration: {error}"))
    })
}

fn check_pgp_keys(what: &str, keys: &[String], shares: u8) -> Result<(), ApiError> {
    if keys.is_empty() {
        return Ok(());
    }
    if keys.len() != usize::from(shares) {
        return Err(ApiError::bad_request(format!(
            "invalid {what} configuration: count mismatch between number of provided PGP keys and \
             number of shares"
        )));
    }
    Err(pgp_unsupported())
}

pub(super) fn pgp_unsupported() -> ApiError {
    ApiError::bad_request("encryption with PGP keys is not supported")
}

fn answer(initialized: &Initialized) -> Value {
    let mut body = Map::new();
    insert_shares(&mut body, "keys", &initialized.shares);
    if !initialized.recovery_shares.is_empty() {
        insert_shares(&mut body, "recovery_keys", &initialized.recovery_shares);
    }
    body.insert(
        "root_token".into(),
        initialized.root_token.as_str().to_owned().into(),
    );
    Value::Object(body)
}

/// Adds shares in hexadecimal under `name` and in base64 under `<name>_base64`.
pub(super) fn insert_shares(
    body: &mut Map<String, Value>,
    name: &str,
    shares: &[Zeroizing<Vec<u8>>],
) {
    let in_hex: Vec<String> = shares.iter().map(hex::encode).collect();
    let in_base64: Vec<String> = shares.iter().map(|share| STANDARD.encode(share)).collect();
    body.insert(name.to_owned(), in_hex.into());
    body.insert(format!("{name}_base64"), in_base64.into());
}
