//! `sign-revocation-list`: a list with the entries and extensions that the caller gives.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use signet_pki::crl::RevokedCertificate;
use signet_pki::plan::RawExtension;
use signet_pki::serial::SerialNumber;
use signet_pki::time::UnixTime;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{FromField, params, parse_bool};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::crl::resign::{Order, list_signer, refused};
use crate::time::Timestamp;

pub(in crate::secrets::pki) struct SignList;

params! {
    pub(in crate::secrets::pki) struct SignListParams {
        /// Reference to the issuer: its id, its name or `default`.
        issuer_ref: String,
        /// The entries: objects with `serial_number`, `revocation_time` and `extensions`.
        revoked_certs: Value,
        /// Extensions of the list: objects with `id`, `critical` and `value`, which is base64 of DER.
        extensions: Value,
        /// Number of the list.
        crl_number: i64,
        /// Number of the list that this one adds to, which makes it a delta CRL; -1 for none.
        delta_crl_base_number: Option<i64>,
        /// How long the list is valid.
        next_update: String,
        /// `pem` or `der`.
        format: String,
    }
}

impl Endpoint for SignList {
    type Engine = Pki;
    type Params = SignListParams;

    const ROUTES: &'static [Route] = &[Route::token(
        Op::Write,
        "issuer/{issuer_ref}/sign-revocation-list",
    )];
    const HELP: &'static str = "Sign a revocation list with given entries and extensions.";

    async fn handle(cx: Cx<'_, Pki>, params: SignListParams) -> Result<Reply, ApiError> {
        let order = Order::new(
            params.crl_number,
            params.delta_crl_base_number,
            &params.next_update,
            &params.format,
        )?;
        let state = cx.engine.state.state().await?;
        let (_, signer) = list_signer(&state, &params.issuer_ref)?;
        let revoked = entries(params.revoked_certs).map_err(refused)?;
        let extensions = extensions(params.extensions).map_err(refused)?;
        order.sign(cx, signer, revoked, extensions).await
    }
}

fn entries(given: Value) -> Result<Vec<RevokedCertificate>, String> {
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for (index, value) in items(given).into_iter().enumerate() {
        let Value::Object(fields) = value else {
            return Err(format!("revoked certificate entry {index} not a map"));
        };
        let entry = entry(index, fields)?;
        if !seen.insert(entry.serial) {
            return Err(format!(
                "duplicate serial number: {}",
                entry.serial.to_colon_hex()
            ));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(index: usize, mut fields: Map<String, Value>) -> Result<RevokedCertificate, String> {
    let of = |field: &str, detail: String| {
        format!("failed parsing {field} from entry {index}: {detail}")
    };
    let serial = serial(fields.remove("serial_number")).map_err(|e| of("serial_number", e))?;
    let revoked_at =
        time(fields.remove("revocation_time")).map_err(|e| of("revocation_time", e))?;
    let extensions = match fields.remove("extensions") {
        None | Some(Value::Null) => Vec::new(),
        Some(given @ Value::Array(_)) => {
            extensions(given).map_err(|detail| of("extensions", detail))?
        }
        Some(_) => {
            let detail = "'extensions' field did not contain a slice";
            return Err(of("extensions", detail.into()));
        }
    };
    Ok(RevokedCertificate {
        serial,
        revoked_at,
        extensions,
    })
}

/// Hexadecimal octets, also without separators.
fn serial(given: Option<Value>) -> Result<SerialNumber, String> {
    let text = String::from_value(given.unwrap_or_default())?;
    if text.is_empty() {
        return Err("missing 'serial_number' field".into());
    }
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    let octets = hex::decode(&digits).map_err(|error| {
        let detail = match error {
            hex::FromHexError::InvalidHexCharacter { c, .. } => {
                format!("invalid byte: U+{:04X} '{c}'", u32::from(c))
            }
            hex::FromHexError::OddLength | hex::FromHexError::InvalidStringLength => {
                "odd length hex string".to_owned()
            }
        };
        format!("'serial_number' failed converting to bytes: encoding/hex: {detail}")
    })?;
    SerialNumber::from_magnitude(&octets).map_err(|error| error.to_string())
}

fn time(given: Option<Value>) -> Result<UnixTime, String> {
    let value = match given {
        None | Some(Value::Null) => return Err("missing 'revocation_time' field".into()),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Err("failed parsing time: could not parse time from input type".into());
        }
        Some(scalar) => scalar,
    };
    let text = String::from_value(value.clone())?;
    let time = Timestamp::from_value(value).map_err(|_| {
        format!("failed parsing time {text}: could not parse string as date and time")
    })?;
    Ok(UnixTime(time.secs()))
}

fn extensions(given: Value) -> Result<Vec<RawExtension>, String> {
    let mut extensions: Vec<RawExtension> = Vec::new();
    for (index, value) in items(given).into_iter().enumerate() {
        let Value::Object(fields) = value else {
            return Err(format!("extension entry {index} not a map"));
        };
        let extension = extension(fields)
            .map_err(|detail| format!("failed parsing extension entry {index}: {detail}"))?;
        if extensions.iter().any(|known| known.oid == extension.oid) {
            return Err(format!("duplicate extension id: {}", extension.oid));
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn extension(mut fields: Map<String, Value>) -> Result<RawExtension, String> {
    let id = String::from_value(fields.remove("id").unwrap_or_default())?;
    if id.is_empty() {
        return Err("missing id field".into());
    }
    let wrong_arc = id
        .split('.')
        .enumerate()
        .find(|(_, arc)| arc.parse::<u32>().is_err());
    if let Some((at, arc)) = wrong_arc {
        return Err(format!(
            "failed parsing asn1 index element {at} value {arc}: strconv.Atoi: parsing {arc:?}: \
             invalid syntax"
        ));
    }
    let reserved = RESERVED.iter().find(|(oid, _)| *oid == id);
    if let Some((oid, name)) = reserved {
        return Err(format!("{name} object identifier ({oid}) is reserved"));
    }
    let oid = id
        .parse()
        .map_err(|_| format!("invalid object identifier: {id}"))?;
    let critical = String::from_value(fields.remove("critical").unwrap_or_default())?;
    let critical = critical
        .is_empty()
        .then_some(false)
        .or_else(|| parse_bool(&critical))
        .ok_or_else(|| {
            format!(
                "critical field value failed to be parsed: cannot parse '' as bool: \
                 strconv.ParseBool: parsing {critical:?}: invalid syntax"
            )
        })?;
    let value = match fields.remove("value") {
        None | Some(Value::Null) => return Err("missing 'value' field".into()),
        Some(value) => String::from_value(value)?,
    };
    let value = STANDARD.decode(&value).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _)
            | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                value.len() / 4 * 4
            }
        };
        format!("failed base64 decoding 'value' field: illegal base64 data at input byte {at}")
    })?;
    Ok(RawExtension {
        oid,
        critical,
        value,
    })
}

/// A list, or one thing that is a list of one.
fn items(given: Value) -> Vec<Value> {
    match given {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        one => vec![one],
    }
}

/// Extensions that the list has anyway.
const RESERVED: [(&str, &str); 3] = [
    ("2.5.29.20", "crl number"),
    ("2.5.29.27", "delta crl"),
    ("2.5.29.35", "authority key"),
];
