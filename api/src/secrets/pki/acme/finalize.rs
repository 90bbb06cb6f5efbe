//! The end of an order (RFC 8555 §7.4): a CSR comes, and a certificate is issued.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use signet_pki::csr::Csr;
use signet_pki::oid;
use signet_pki::vet::{self, OrderRequest};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::Route;
use crate::error::{ApiError, ErrorKind};
use crate::reply::Reply;
use crate::secrets::pki::acme::orders::{self, OrderParams, not_in};
use crate::secrets::pki::acme::problem::{Failure, Kind, Problem};
use crate::secrets::pki::acme::records::{
    Identifier, IdentifierKind, Issued, Order, Status, certificate_path, order_path,
};
use crate::secrets::pki::acme::session::{Action, Session, in_every_directory, type_name};
use crate::secrets::pki::leaf::surroundings;
use crate::time::Timestamp;

/// No certificate over ACME lives longer: who can renew by itself needs no more.
const LONGEST_SECS: u64 = 90 * 24 * 3600;

pub(in crate::secrets::pki) struct Finalize;

impl Action for Finalize {
    type Params = OrderParams;

    const ROUTES: &'static [Route] = in_every_directory!(
        Route::unauthenticated,
        Op::Write,
        "order/{order_id:uuid}/finalize"
    );
    const HELP: &'static str = "Have the certificate of an ACME order issued.";

    async fn act(session: &Session<'_>, params: &OrderParams) -> Result<Reply, Failure> {
        let id = &params.order_id;
        let found = orders::find(session, id).await?;
        let csr = csr(session.member("csr"))?;
        if found.status != Status::Ready {
            return Err(not_in(found.status, Status::Ready));
        }
        let mut order = found.order;
        let request = request(session, &order, &csr)?;
        let directory = session.directory;
        let surroundings = surroundings(session.cx, &directory.issuer);
        let (vetted, _warnings) = vet::vet_order(&directory.role, csr, &request, &surroundings)
            .map_err(|refusal| Kind::BadCsr.with(format!("refusing to sign CSR: {refusal}")))?;
        let engine = session.cx.engine;
        let certificate = engine
            .sign(vetted, &directory.signer, session.now())
            .await
            .map_err(refused_by_issuer)?;
        let serial = certificate.serial().to_hyphen_hex();
        let account = &session.account()?.id;
        order.issued = Some(Issued {
            serial: serial.clone(),
            not_after: Timestamp::from_secs(certificate.validity().not_after.0),
        });
        let view = session.view();
        let path = order_path(account, id);
        let mut batch = Batch::default();
        view.expect(&mut batch, &path, found.expect);
        view.put_record(&mut batch, &path, &order)?;
        let issuer_id = &directory.issuer.record.id;
        engine.put_certificate(&mut batch, issuer_id, &directory.role_name, &certificate);
        view.put(&mut batch, &certificate_path(account, &serial), Vec::new());
        session.expect_account(&mut batch)?;
        session.commit(batch).await?;
        orders::reply(session, id, &order, Status::Valid)
    }
}

/// Names that the issuer's certificate forbids are refused where it would sign.
fn refused_by_issuer(error: ApiError) -> Failure {
    match error.kind() {
        ErrorKind::BadRequest => Kind::RejectedIdentifier.with(error).into(),
        _ => error.into(),
    }
}

fn csr(value: Option<&Value>) -> Result<Csr, Problem> {
    let malformed = |text: String| Kind::Malformed.with(text);
    let text = match value {
        Some(Value::String(text)) => text,
        Some(other) => {
            let text = format!("csr in payload not the expected type: {}", type_name(other));
            return Err(malformed(text));
        }
        None => return Err(malformed("missing csr in payload".to_owned())),
    };
    let der = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| malformed("failed base64 decoding csr: illegal base64 data".to_owned()))?;
    Csr::parse_der(&der).map_err(|error| malformed(format!("failed to parse csr: {error}")))
}

/// What the certificate is to say: the names of the order, which have to be those of the CSR.
fn request(session: &Session<'_>, order: &Order, csr: &Csr) -> Result<OrderRequest, Problem> {
    let authority = csr
        .extensions()
        .iter()
        .find(|extension| extension.oid == oid::BASIC_CONSTRAINTS)
        .is_some_and(|extension| asks_to_be_authority(&extension.value));
    if authority {
        let text = "refusing to accept CSR with Basic Constraints extension with CA set to true";
        return Err(Kind::BadCsr.with(text));
    }
    let wanted = Names::of_order(order);
    wanted.check(&Names::of_csr(csr))?;
    if csr.public_key().is_ok_and(|key| *key == session.key.public) {
        let text = "certificate public key must not match account key";
        return Err(Kind::BadCsr.with(text));
    }
    let common_name = match csr.common_name() {
        "" if session.directory.role.require_cn => wanted.common_name(order),
        given => given.to_lowercase(),
    };
    let of_kind = |kind| order.identifiers.iter().filter(move |it| it.kind == kind);
    Ok(OrderRequest {
        common_name,
        dns: of_kind(IdentifierKind::Dns)
            .map(|it| it.value.clone())
            .collect(),
        ips: of_kind(IdentifierKind::Ip)
            .filter_map(Identifier::address)
            .collect(),
        longest_secs: LONGEST_SECS,
        keeps_ext_key_usage: session.directory.state.acme.allow_role_ext_key_usage,
    })
}

/// `BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, … }`: anything in it but an explicit
/// FALSE asks to be an authority, or cannot be read.
fn asks_to_be_authority(value: &[u8]) -> bool {
    !matches!(value, [0x30, 0x00] | [0x30, 0x03, 0x01, 0x01, 0x00])
}

/// Names and addresses, each once.
#[derive(Debug, Default)]
struct Names {
    dns: BTreeSet<String>,
    ips: BTreeSet<IpAddr>,
}

impl Names {
    fn of_order(order: &Order) -> Self {
        let mut names = Self::default();
        for identifier in &order.identifiers {
            match identifier.address() {
                Some(address) => names.ips.insert(address.to_canonical()),
                None => names.dns.insert(identifier.value.to_lowercase()),
            };
        }
        names
    }

    fn of_csr(csr: &Csr) -> Self {
        let given = csr.alt_names();
        let mut names = Self {
            dns: given.dns.iter().map(|name| name.to_lowercase()).collect(),
            ips: given.ips.iter().map(IpAddr::to_canonical).collect(),
        };
        match csr.common_name() {
            "" => {}
            name => match name.parse::<IpAddr>() {
                Ok(address) => drop(names.ips.insert(address.to_canonical())),
                Err(_) => drop(names.dns.insert(name.to_lowercase())),
            },
        }
        names
    }

    fn check(&self, csr: &Self) -> Result<(), Problem> {
        let mismatch = |ours: usize, theirs: usize, kind: &str| {
            Kind::BadCsr.with(format!(
                "Order ({ours}) and CSR ({theirs}) mismatch on number of {kind} identifiers"
            ))
        };
        if self.dns.len() != csr.dns.len() {
            return Err(mismatch(self.dns.len(), csr.dns.len(), "DNS"));
        }
        if self.ips.len() != csr.ips.len() {
            return Err(mismatch(self.ips.len(), csr.ips.len(), "IP"));
        }
        if let Some(name) = self.dns.difference(&csr.dns).next() {
            let text = format!("CSR is missing order DNS identifier {name}");
            return Err(Kind::BadCsr.with(text));
        }
        if let Some(address) = self.ips.difference(&csr.ips).next() {
            let text = format!("CSR is missing order IP identifier {address}");
            return Err(Kind::BadCsr.with(text));
        }
        Ok(())
    }

    /// For a role that wants one: a wildcard, else the first name, else the first address.
    fn common_name(&self, order: &Order) -> String {
        let wildcard = self.dns.iter().find(|name| name.starts_with("*."));
        let first_name = || {
            let mut identifiers = order.identifiers.iter();
            identifiers.find(|it| it.kind == IdentifierKind::Dns)
        };
        match (wildcard, first_name()) {
            (Some(name), _) => name.clone(),
            (None, Some(identifier)) => identifier.value.clone(),
            (None, None) => self
                .ips
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}
