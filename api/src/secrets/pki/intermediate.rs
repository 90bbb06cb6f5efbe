//! `intermediate/generate` and `intermediate/cross-sign`: requests for authorities below others.

use serde_json::{Map, json};
use signet_pki::csr::build::CsrPlan;
use signet_pki::key::KeyKind;
use signet_pki::plan::SignaturePreference;
use signet_pki::vet;
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::Seconds;
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::NO_URLS;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::authority_params::authority_params;
use crate::secrets::pki::format::Format;
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::key_source::KeySource;
use crate::secrets::pki::leaf::refused;

pub(super) struct Generate;

authority_params! {
    pub(super) struct GenerateParams {
        /// internal, exported, existing or kms.
        exported: String,
        /// Name of the new key.
        key_name: Option<String>,
        /// rsa, ec, ed25519 or mldsa.
        key_type: Option<String>,
        /// Size of the key; 0 for the type's default.
        key_bits: Option<i64>,
        /// Reference to the key of `existing`.
        key_ref: String = "default".into(),
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: i64,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: bool,
        /// Ask for `CA:TRUE` in the CSR.
        add_basic_constraints: bool,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
        /// `der` (PKCS #1 or SEC 1) or `pkcs8`.
        private_key_format: String,
    }
    ignored {
        /// The signer decides.
        ttl: Seconds,
        /// The signer decides.
        not_after: String,
        /// The signer decides.
        not_before: String,
        /// The signer decides.
        not_before_duration: Seconds,
    }
}

impl Endpoint for Generate {
    type Engine = Pki;
    type Params = GenerateParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "intermediate/generate/{exported}"),
        Route::token(Op::Write, "issuers/generate/intermediate/{exported}"),
        Route::token(Op::Write, "intermediate/cross-sign"),
    ];
    const HELP: &'static str = "Generate a new CSR and private key used for signing.";

    async fn handle(cx: Cx<'_, Pki>, mut params: GenerateParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let identity = params.take_identity();
        let cross_signs = cx.relative_path() == "intermediate/cross-sign";
        let source = KeySource {
            exported: if cross_signs {
                "existing"
            } else {
                &params.exported
            },
            key_name: params.key_name.as_deref(),
            key_type: params.key_type.as_deref(),
            key_bits: params.key_bits,
            key_ref: &params.key_ref,
        };
        let wanted = source.check(&state, &draft)?;
        let format = Format::of_authority(&params.format)?;
        let hash_bits = u32::try_from(params.signature_bits).unwrap_or(u32::MAX);
        let is_rsa = matches!(wanted.kind(), KeyKind::Rsa { .. });
        if is_rsa && ![0, 256, 384, 512].contains(&hash_bits) {
            let text = format!("unsupported hash signature algorithm: {hash_bits}");
            return Err(ApiError::bad_request(text));
        }
        let (subject, sans) = vet::csr_content(&identity).map_err(|refusal| refused(&refusal))?;
        let (key, placed) = source.obtain(cx.engine, &mut draft, wanted).await?;
        let plan = CsrPlan {
            subject,
            sans,
            authority: params.add_basic_constraints,
            signature: SignaturePreference {
                hash_bits,
                pss: params.use_pss,
                ecdsa_by_curve: true,
            },
        };
        let sign = {
            let key = key.clone();
            move || plan.sign(&key)
        };
        let signed = if is_slow(key.kind()) {
            cx.engine.env.environment.pool.run(sign).await?
        } else {
            sign()
        };
        let csr = signed.map_err(ApiError::internal)?;

        let mut data = Map::new();
        data.insert("csr".into(), json!(format.request(&csr)));
        data.insert("key_id".into(), json!(placed.id));
        source.export(&mut data, "csr", &key, format, &params.private_key_format)?;

        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let no_urls = (!state.urls.has_urls()).then(|| format!("{NO_URLS}{ON_A_REQUEST}"));
        Ok(Reply::data(data)?.warn_all(no_urls))
    }
}

const ON_A_REQUEST: &str = " Since this certificate is an intermediate, it might be useful to \
    regenerate this certificate after fixing this problem for the root mount.";
