//! `sys/tools`: random bytes and digests.

use aws_lc_rs::digest::{self, Algorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::params;
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct RandomBytes;

params! {
    pub(super) struct RandomParams {
        /// The number of bytes to generate. Defaults to 32.
        bytes: Option<i64>,
        /// Encoding of the answer: "hex" or "base64". Defaults to "base64".
        format: String = "base64".into(),
        /// The source of the bytes: "platform", "seal" or "all". There is one source.
        source: String,
        /// The number of bytes, as part of the path.
        urlbytes: Option<String>,
    }
}

impl Endpoint for RandomBytes {
    type Engine = Sys;
    type Params = RandomParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "tools/random"),
        Route::token(Op::Write, "tools/random/{urlbytes:any}"),
        Route::token(Op::Write, "tools/random/{source:any}/{urlbytes:any}"),
    ];
    const HELP: &'static str = "Generate random bytes.";

    async fn handle(cx: Cx<'_, Sys>, params: RandomParams) -> Result<Reply, ApiError> {
        let is_source = |text: &str| matches!(text, "all" | "platform" | "seal");
        // `random/seal` names a source, `random/16` a number.
        let (source, count) = match params.urlbytes {
            Some(text) if params.source.is_empty() && is_source(&text) => (text, None),
            count => (params.source, count),
        };
        let bytes = match count {
            None => params.bytes.unwrap_or(32),
            Some(text) => text.parse().map_err(|_| {
                ApiError::bad_request(format!(
                    "error parsing url-set byte count: strconv.Atoi: parsing {text:?}: invalid \
                     syntax"
                ))
            })?,
        };
        if bytes < 1 {
            return Err(ApiError::bad_request("'bytes' cannot be less than 1"));
        }
        let length = usize::try_from(bytes)
            .ok()
            .filter(|length| *length <= MAX_BYTES)
            .ok_or_else(|| {
                ApiError::bad_request(format!("'bytes' should be less than {MAX_BYTES}"))
            })?;
        if !source.is_empty() && !is_source(&source) {
            return Err(ApiError::bad_request(format!(
                "unsupported entropy source {source:?}; must be \"platform\" or \"seal\", or \"all\""
            )));
        }
        let encoding = Encoding::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request(format!(
                "unsupported encoding format {:?}; must be \"hex\" or \"base64\"",
                params.format
            ))
        })?;
        let mut random = Zeroizing::new(vec![0; length]);
        cx.node.rng().fill(&mut random)?;
        let reply = Reply::data(json!({ "random_bytes": encoding.encode(&random) }))?;
        Ok(match source.as_str() {
            "all" | "seal" => {
                reply.warn("no seal/entropy augmentation available, using platform entropy source")
            }
            _ => reply,
        })
    }
}

const MAX_BYTES: usize = 131_072;

pub(super) struct Hash;

params! {
    pub(super) struct HashParams {
        /// Algorithm to use: sha2-224, sha2-256, sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 or
        /// sha3-512. Defaults to sha2-256.
        algorithm: String,
        /// Encoding of the answer: "hex" or "base64". Defaults to "hex".
        format: String = "hex".into(),
        /// The base64-encoded input data.
        input: String,
        /// Algorithm to use, as part of the path.
        urlalgorithm: String,
    }
}

impl Endpoint for Hash {
    type Engine = Sys;
    type Params = HashParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "tools/hash"),
        Route::token(Op::Write, "tools/hash/{urlalgorithm:any}"),
    ];
    const HELP: &'static str = "Generate a hash sum for input data.";

    async fn handle(_cx: Cx<'_, Sys>, params: HashParams) -> Result<Reply, ApiError> {
        let name = [params.urlalgorithm, params.algorithm]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_else(|| "sha2-256".into());
        let input = STANDARD.decode(&params.input).map_err(|error| {
            ApiError::bad_request(format!("unable to decode input as base64: {error}"))
        })?;
        let encoding = Encoding::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request(format!(
                "unsupported encoding format {}; must be \"hex\" or \"base64\"",
                params.format
            ))
        })?;
        let algorithm = algorithm(&name)
            .ok_or_else(|| ApiError::bad_request(format!("unsupported algorithm {name}")))?;
        let sum = digest::digest(algorithm, &input);
        Reply::data(json!({ "sum": encoding.encode(sum.as_ref()) }))
    }
}

fn algorithm(name: &str) -> Option<&'static Algorithm> {
    Some(match name {
        "sha2-224" => &digest::SHA224,
        "sha2-256" => &digest::SHA256,
        "sha2-384" => &digest::SHA384,
        "sha2-512" => &digest::SHA512,
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        _ => return None,
    })
}

#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Hex,
}

impl Encoding {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "base64" => Some(Self::Base64),
            "hex" => Some(Self::Hex),
            _ => None,
        }
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Hex => hex::encode(bytes),
        }
    }
}
