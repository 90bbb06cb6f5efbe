//! `sign-intermediate`: certificates for authorities below an issuer.

use serde_json::json;
use signet_pki::vet::{self, AuthorityTerms, IntermediateRequest, Warning};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, Seconds};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::NO_URLS;
use crate::secrets::pki::authority_params::authority_params;
use crate::secrets::pki::format::Format;
use crate::secrets::pki::leaf::{parse_csr, refused, surroundings};

pub(super) struct Sign;

authority_params! {
    pub(super) struct SignParams {
        /// Reference to the issuer; `default` for the default one.
        issuer_ref: String,
        /// PEM-format CSR to be signed.
        csr: String,
        /// Take subject, names and extensions from the CSR.
        use_csr_values: bool,
        /// Lifetime; the mount's default and maximum apply.
        ttl: Seconds,
        /// End of validity, RFC 3339.
        not_after: Option<String>,
        /// Checked only; the certificate begins at its usual age.
        not_before: String,
        /// How long before now the certificate begins.
        not_before_duration: Seconds = Seconds(30),
        /// Longest chain below it; one less than the issuer's by default.
        max_path_length: Option<i64>,
        /// DNS domains that certificates below it may be for.
        permitted_dns_domains: CommaList,
        /// Only DigitalSignature adds to what every authority has.
        key_usage: CommaList,
        /// Extended key usages.
        ext_key_usage: CommaList,
        /// Extended key usages as OIDs.
        ext_key_usage_oids: CommaList,
        /// Hash of the signature: 256, 384 or 512; 0 for the key's default.
        signature_bits: i64,
        /// RSASSA-PSS instead of PKCS #1 v1.5.
        use_pss: bool,
        /// Subject key identifier, hexadecimal.
        skid: String,
        /// `pem`, `der` or `pem_bundle`.
        format: String,
    }
    ignored {
        /// The certificate does not become an issuer here.
        issuer_name: String,
        /// No key is answered.
        private_key_format: String,
    }
}

impl Endpoint for Sign {
    type Engine = Pki;
    type Params = SignParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "root/sign-intermediate"),
        Route::token(Op::Write, "issuer/{issuer_ref}/sign-intermediate"),
    ];
    const HELP: &'static str = "Issue an intermediate CA certificate based on the provided CSR.";

    async fn handle(cx: Cx<'_, Pki>, mut params: SignParams) -> Result<Reply, ApiError> {
        let format = Format::parse(&params.format).ok_or_else(|| {
            ApiError::bad_request("The \"format\" path parameter must be \"pem\" or \"der\"")
        })?;
        let state = cx.engine.state.state().await?;
        let (issuer, signer) = Pki::signing_issuer(&state, &params.issuer_ref)?;
        let csr = parse_csr(&params.csr)?;
        let request = IntermediateRequest {
            identity: params.take_identity(),
            terms: AuthorityTerms {
                ttl_secs: params.ttl.0,
                not_after: params.not_after,
                not_before_duration_secs: params.not_before_duration.0,
                max_path_length: params.max_path_length,
                permitted_dns_domains: params.permitted_dns_domains.0,
                key_usage: params.key_usage.0,
                ext_key_usage: params.ext_key_usage.0,
                ext_key_usage_oids: params.ext_key_usage_oids.0,
                signature_bits: u32::try_from(params.signature_bits).unwrap_or(0),
                use_pss: params.use_pss,
            },
            not_before: params.not_before,
            skid: params.skid,
            use_csr_values: params.use_csr_values,
        };
        let (vetted, warnings) = vet::vet_intermediate(csr, &request, &surroundings(cx, issuer))
            .map_err(|refusal| refused(&refusal))?;
        let certificate = cx.engine.sign(vetted, signer, cx.now).await?;

        let mut batch = Batch::default();
        cx.engine
            .put_certificate(&mut batch, &issuer.record.id, "", &certificate);
        cx.commit(batch).await?;

        let own = format.certificate(&certificate);
        let mut chain = vec![own.clone()];
        chain.extend(issuer.chain.iter().map(|link| format.link(link)));
        let shown = if format == Format::PemBundle {
            chain.join("\n")
        } else {
            own
        };
        let data = json!({
            "certificate": shown,
            "issuing_ca": format.link(&issuer.link),
            "ca_chain": chain,
            "expiration": certificate.validity().not_after.0,
            "serial_number": certificate.serial().to_colon_hex(),
        });
        let has_urls = issuer.record.urls(&state.urls).has_urls();
        let (first, last): (Vec<_>, Vec<_>) = warnings
            .iter()
            .partition(|warning| matches!(warning, Warning::BeyondIssuer | Warning::NoSubject));
        Ok(Reply::data(data)?
            .warn_all(first.into_iter().map(ToString::to_string))
            .warn_all((!has_urls).then(|| NO_URLS.to_owned()))
            .warn_all(last.into_iter().map(ToString::to_string)))
    }
}
