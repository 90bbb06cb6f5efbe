//! Orders (RFC 8555 §7.1.3, §7.4).

use serde_json::{Map, Value, json};
use signet_pki::serial::SerialNumber;
use signet_storage::{Batch, Expect, Stored};

use crate::call::Op;
use crate::endpoint::Route;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::secrets::pki::acme::authorizations;
use crate::secrets::pki::acme::identifiers;
use crate::secrets::pki::acme::problem::{Failure, Kind};
use crate::secrets::pki::acme::records::{
    Authorization, ORDERS, Order, Status, authorization_path, order_path, whole_secs,
};
use crate::secrets::pki::acme::session::{
    Action, Plain, Session, in_every_directory, json as json_reply, signed_params,
};

/// How long a client has for all its proofs and the CSR.
const LIFE_SECS: u64 = 24 * 3600;

pub(in crate::secrets::pki) struct New;

impl Action for New {
    type Params = Plain;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "new-order");
    const HELP: &'static str = "Order a certificate over ACME.";

    async fn act(session: &Session<'_>, _params: &Plain) -> Result<Reply, Failure> {
        let account = session.account()?;
        let identifiers = identifiers::parse(session.member("identifiers"))?;
        if session.member("notBefore").is_some() || session.member("notAfter").is_some() {
            let text = "NotBefore and NotAfter are not supported";
            return Err(Kind::Malformed.with(text).into());
        }
        let directory = session.directory;
        for identifier in &identifiers {
            identifiers::check_role(identifier, &directory.role, &directory.role_name)?;
        }
        let expires_at = session.now().plus_secs(LIFE_SECS);
        let view = session.view();
        let mut batch = Batch::default();
        let mut ids = Vec::with_capacity(identifiers.len());
        for identifier in &identifiers {
            let authorization = authorizations::new(session, identifier, expires_at)?;
            let id = session.new_id()?;
            let path = authorization_path(&account.id, &id);
            view.put_record(&mut batch, &path, &authorization)?;
            ids.push(id);
        }
        let order = Order {
            identifiers,
            authorizations: ids,
            expires_at,
            issued: None,
        };
        let id = session.new_id()?;
        view.put_record(&mut batch, &order_path(&account.id, &id), &order)?;
        session.expect_account(&mut batch)?;
        session.commit(batch).await?;
        Ok(reply(session, &id, &order, Status::Pending)?.status(201))
    }
}

signed_params!(OrdersParams {
    /// The account's id, in its own list of orders.
    kid,
});

pub(in crate::secrets::pki) struct All;

impl Action for All {
    type Params = OrdersParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Write, "acme/orders"),
        Route::unauthenticated(Op::Write, "acme/account/{kid:uuid}/orders"),
        Route::unauthenticated(Op::Write, "roles/{role}/acme/orders"),
        Route::unauthenticated(Op::Write, "roles/{role}/acme/account/{kid:uuid}/orders"),
        Route::unauthenticated(Op::Write, "issuer/{issuer_ref}/acme/orders"),
        Route::unauthenticated(
            Op::Write,
            "issuer/{issuer_ref}/acme/account/{kid:uuid}/orders",
        ),
        Route::unauthenticated(Op::Write, "issuer/{issuer_ref}/roles/{role}/acme/orders"),
        Route::unauthenticated(
            Op::Write,
            "issuer/{issuer_ref}/roles/{role}/acme/account/{kid:uuid}/orders",
        ),
    ];
    const HELP: &'static str = "List the orders of an ACME account.";

    async fn act(session: &Session<'_>, params: &OrdersParams) -> Result<Reply, Failure> {
        let account = session.account()?;
        let is_named = session.cx.relative_path().contains("/account/");
        if is_named && params.kid != account.id {
            return Err(Kind::Unauthorized.with("this is another account").into());
        }
        let folder = format!("{ORDERS}{}/", account.id);
        let ids = session.view().keys(&folder, None, MAX_LISTED).await?;
        let urls: Vec<String> = ids
            .iter()
            .map(|id| session.directory.url(&format!("order/{id}")))
            .collect();
        Ok(json_reply(&json!({ "orders": urls }))?)
    }
}

/// Orders that are told of at once; nobody honest has more open.
const MAX_LISTED: usize = 1000;

signed_params!(OrderParams {
    /// The order's id.
    order_id,
});

pub(in crate::secrets::pki) struct Existing;

impl Action for Existing {
    type Params = OrderParams;

    const ROUTES: &'static [Route] =
        in_every_directory!(Route::unauthenticated, Op::Write, "order/{order_id:uuid}");
    const HELP: &'static str = "Read an ACME order.";

    async fn act(session: &Session<'_>, params: &OrderParams) -> Result<Reply, Failure> {
        let found = find(session, &params.order_id).await?;
        reply(session, &params.order_id, &found.order, found.status)
    }
}

pub(in crate::secrets::pki) struct Certificate;

impl Action for Certificate {
    type Params = OrderParams;

    const ROUTES: &'static [Route] = in_every_directory!(
        Route::unauthenticated,
        Op::Write,
        "order/{order_id:uuid}/cert"
    );
    const HELP: &'static str = "Read the certificate of an ACME order, with its chain.";

    async fn act(session: &Session<'_>, params: &OrderParams) -> Result<Reply, Failure> {
        let ordered = find(session, &params.order_id).await?;
        let Some(issued) = &ordered.order.issued else {
            return Err(not_in(ordered.status, Status::Valid));
        };
        let serial = SerialNumber::parse(&issued.serial).map_err(ApiError::internal)?;
        let Some(record) = session.cx.engine.certificate(serial).await? else {
            let text = "the certificate of the order is not there any more";
            return Err(Kind::Malformed.because(text).into());
        };
        let state = &session.directory.state;
        let found = state
            .issuers
            .iter()
            .find(|issuer| issuer.record.id == record.issuer_id);
        let mut chain = signet_pki::pem::encode("CERTIFICATE", &record.der);
        for link in found.iter().flat_map(|issuer| &issuer.chain) {
            chain.push_str(&link.pem);
        }
        Ok(Reply::raw("application/pem-certificate-chain", chain))
    }
}

/// An order of the account that signed.
pub(super) struct Found {
    pub(super) order: Order,
    pub(super) status: Status,
    pub(super) expect: Expect,
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Found, Failure> {
    let account = &session.account()?.id;
    let stored = session
        .view()
        .record::<Order>(&order_path(account, id))
        .await?;
    let Some(Stored { value, version }) = stored else {
        return Err(Kind::Malformed.because("order does not exist").into());
    };
    Ok(Found {
        status: status(session, &value).await?,
        order: value,
        expect: Expect::Version(version),
    })
}

/// What an order is now, which its authorizations decide.
async fn status(session: &Session<'_>, order: &Order) -> Result<Status, Failure> {
    if order.issued.is_some() {
        return Ok(Status::Valid);
    }
    if order.expires_at <= session.now() {
        return Ok(Status::Invalid);
    }
    let account = &session.account()?.id;
    let mut is_ready = true;
    for id in &order.authorizations {
        let path = authorization_path(account, id);
        let stored = session.view().record::<Authorization>(&path).await?;
        match stored.map(|stored| stored.value.status_at(session.now())) {
            Some(Status::Valid) => {}
            Some(Status::Pending) => is_ready = false,
            _ => return Ok(Status::Invalid),
        }
    }
    Ok(if is_ready {
        Status::Ready
    } else {
        Status::Pending
    })
}

/// The refusal of what an order in this status does not allow.
pub(super) fn not_in(status: Status, needed: Status) -> Failure {
    let text = format!(
        "order is status {}, needs to be in {} state",
        status.name(),
        needed.name()
    );
    Kind::OrderNotReady.with(text).into()
}

pub(super) fn reply(
    session: &Session<'_>,
    id: &str,
    order: &Order,
    status: Status,
) -> Result<Reply, Failure> {
    let directory = session.directory;
    let url = directory.url(&format!("order/{id}"));
    let authorizations: Vec<String> = order
        .authorizations
        .iter()
        .map(|id| directory.url(&format!("authorization/{id}")))
        .collect();
    let mut shown: Map<String, Value> = Map::new();
    shown.insert("status".into(), status.name().into());
    shown.insert("expires".into(), whole_secs(order.expires_at).into());
    shown.insert("identifiers".into(), json!(order.identifiers));
    shown.insert("authorizations".into(), authorizations.into());
    shown.insert("finalize".into(), format!("{url}/finalize").into());
    if order.issued.is_some() {
        shown.insert("certificate".into(), format!("{url}/cert").into());
    }
    let mut reply = json_reply(&shown)?;
    reply.headers.push(("Location", url));
    Ok(reply)
}
