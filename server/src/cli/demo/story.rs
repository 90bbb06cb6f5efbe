//! The walk-through, chapter by chapter.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SanType};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

use super::chain;
use super::mesh::{self, Workload};
use super::stage::Stage;
use crate::cli::ui::{Outcome, Stop};
use crate::server::embedded::EmbeddedServer;

pub(super) fn play(stage: &mut Stage<'_, '_>, server: &EmbeddedServer) -> Outcome {
    start(stage, server);
    let root = root(stage)?;
    intermediate(stage)?;
    role(stage)?;
    let credentials = approle(stage)?;
    stage.heading("6. What cert-manager does for two workloads: log in, sign");
    let httpbin = workload(stage, &credentials, "httpbin")?;
    let sleep = workload(stage, &credentials, "sleep")?;
    mutual_tls(stage, &root, &httpbin, &sleep)
}

fn start(stage: &mut Stage<'_, '_>, server: &EmbeddedServer) {
    stage.heading("1. A development server");
    stage.note("runs in this process, in memory; as a process of its own it would be");
    stage.note(format_args!(
        "  vault server -dev -dev-root-token-id {}",
        server.root_token()
    ));
    stage.line(format_args!("$ export VAULT_ADDR={}", server.url()));
    stage.use_token(server.root_token());
}

fn root(stage: &mut Stage<'_, '_>) -> Result<CertificateDer<'static>, Stop> {
    stage.heading("2. The root CA: ten years, one level of CAs below");
    stage.run(&["vault", "secrets", "enable", "pki"])?;
    stage.run(&["vault", "secrets", "tune", "-max-lease-ttl=87600h", "pki"])?;
    stage.note("makes an RSA key of 4096 bits, which takes a few seconds");
    let certificate = stage.capture(
        &[
            "vault",
            "write",
            "-field=certificate",
            "pki/root/generate/internal",
            "max_path_length=1",
            "common_name=RH Custom Root CA",
            "ou=RH-FSI",
            "organization=Red Hat Consulting",
            "country=US",
            "ttl=87600h",
            "issuer_name=rh-custom-root-ca",
            "key_bits=4096",
        ],
        "> RH_Custom_CA.crt",
    )?;
    stage.write("RH_Custom_CA.crt", &certificate)?;
    certificate_from(&certificate)
}

fn intermediate(stage: &mut Stage<'_, '_>) -> Outcome {
    stage.heading("3. The intermediate CA: five years, signed by the root");
    stage.run(&["vault", "secrets", "enable", "-path=pki_int_ca", "pki"])?;
    stage.run(&[
        "vault",
        "secrets",
        "tune",
        "-max-lease-ttl=43800h",
        "pki_int_ca",
    ])?;
    stage.note("another key of 4096 bits, which never leaves the server");
    let answer = stage.capture(
        &[
            "vault",
            "write",
            "-format=json",
            "pki_int_ca/intermediate/generate/internal",
            "require_cn=false",
            "max_path_length=0",
            "common_name=RH Custom Intermediate CA",
            "ou=RH-FSI",
            "organization=Red Hat Consulting",
            "country=US",
            "issuer_name=rh-custom-intermediate-ca",
            "key_bits=4096",
        ],
        "| jq -r .data.csr > RH_Custom_Intermediate_CA.csr",
    )?;
    stage.write(
        "RH_Custom_Intermediate_CA.csr",
        &text_at(&answer, "/data/csr")?,
    )?;
    let answer = stage.capture(
        &[
            "vault",
            "write",
            "-format=json",
            "pki/root/sign-intermediate",
            "max_path_length=0",
            "common_name=RH Custom Intermediate CA",
            "ou=RH-FSI",
            "organization=Red Hat Consulting",
            "country=US",
            "ttl=43800h",
            "key_bits=4096",
            "format=pem_bundle",
            "issuer_ref=rh-custom-root-ca",
            "csr=@RH_Custom_Intermediate_CA.csr",
        ],
        "| jq -r .data.certificate > RH_Custom_Intermediate_CA.pem",
    )?;
    stage.write(
        "RH_Custom_Intermediate_CA.pem",
        &text_at(&answer, "/data/certificate")?,
    )?;
    stage.note("the bundle holds intermediate and root, so that workloads get a whole chain");
    stage.run(&[
        "vault",
        "write",
        "pki_int_ca/intermediate/set-signed",
        "certificate=@RH_Custom_Intermediate_CA.pem",
    ])
}

fn role(stage: &mut Stage<'_, '_>) -> Outcome {
    stage.heading("4. The role: what a workload may have");
    stage.run(&[
        "vault",
        "write",
        "pki_int_ca/roles/rh-custom-issuer",
        "allow_any_name=true",
        "allow_uri_sans=true",
        "allow_ip_sans=true",
        "ou=RH-SPPRT",
        "organization=Red Hat Consulting",
        "country=US",
        "use_csr_common_name=true",
        "ttl=4380h",
        "max_ttl=4380h",
        "enforce_hostnames=false",
        "allow_bare_domains=true",
        "require_cn=false",
        "allowed_uri_sans=istio-system.svc, opentlc.com, cluster.local, spiffe://*",
    ])
}

/// The pair with which cert-manager logs in.
struct Credentials {
    role_id: String,
    secret_id: String,
}

fn approle(stage: &mut Stage<'_, '_>) -> Result<Credentials, Stop> {
    stage.heading("5. AppRole: how cert-manager logs in, and all that it may do");
    stage.run_with_input(
        &["vault", "policy", "write", "rh-vault-pki", "-"],
        "path \"pki_int_ca/sign/rh-custom-issuer\" {\n  capabilities = [\"create\", \
         \"update\"]\n}\n",
    )?;
    stage.run(&["vault", "auth", "enable", "approle"])?;
    stage.run(&[
        "vault",
        "write",
        "auth/approle/role/rh-vault-pki-role",
        "token_policies=rh-vault-pki",
        "secret_id_ttl=0",
        "token_num_uses=10",
        "token_ttl=10m",
        "token_max_ttl=15m",
        "secret_id_num_uses=0",
    ])?;
    let role_id = stage.run_and_keep(&[
        "vault",
        "read",
        "-field=role_id",
        "auth/approle/role/rh-vault-pki-role/role-id",
    ])?;
    let secret_id = stage.run_and_keep(&[
        "vault",
        "write",
        "-f",
        "-field=secret_id",
        "auth/approle/role/rh-vault-pki-role/secret-id",
    ])?;
    Ok(Credentials {
        role_id: role_id.trim().to_owned(),
        secret_id: secret_id.trim().to_owned(),
    })
}

/// A key and a request as a sidecar makes them, then a login and a signature as cert-manager asks
/// for them: a new login for each request, every value a text.
fn workload(
    stage: &mut Stage<'_, '_>,
    credentials: &Credentials,
    name: &str,
) -> Result<Workload, Stop> {
    let identity = format!("spiffe://cluster.local/ns/httpbin/sa/{name}");
    stage.note(format_args!(
        "{name} makes a key, and a request for nothing but {identity}"
    ));
    let (key, request) =
        key_and_request(&identity).map_err(|error| Stop::failed(format!("demo: {error}")))?;
    stage.write(&format!("{name}.csr"), &request)?;
    stage.write(&format!("{name}.key"), &key.serialize_pem())?;
    let login = stage.run_and_keep(&[
        "vault",
        "write",
        "-format=json",
        "auth/approle/login",
        &format!("role_id={}", credentials.role_id),
        &format!("secret_id={}", credentials.secret_id),
    ])?;
    stage.use_token(&text_at(&login, "/auth/client_token")?);
    let answer = stage.capture(
        &[
            "vault",
            "write",
            "-format=json",
            "pki_int_ca/sign/rh-custom-issuer",
            "common_name=",
            "alt_names=",
            "ip_sans=",
            &format!("uri_sans={identity}"),
            "ttl=1h0m0s",
            "exclude_cn_from_sans=true",
            &format!("csr=@{name}.csr"),
        ],
        &format!("| jq -r '.data.certificate, .data.ca_chain[]' > {name}.pem"),
    )?;
    stage.line("");
    let chain = chain_of(&answer)?;
    stage.write(&format!("{name}.pem"), &chain.join("\n"))?;
    Ok(Workload {
        identity,
        chain: chain
            .iter()
            .map(|pem| certificate_from(pem))
            .collect::<Result<_, _>>()?,
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}

fn key_and_request(identity: &str) -> Result<(KeyPair, String), rcgen::Error> {
    // The role wants RSA: it says nothing of keys, and that is the default.
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
    let request = params.serialize_request(&key)?.pem()?;
    Ok((key, request))
}

fn mutual_tls(
    stage: &mut Stage<'_, '_>,
    root: &CertificateDer<'static>,
    httpbin: &Workload,
    sleep: &Workload,
) -> Outcome {
    let failed = |error: mesh::MeshError| Stop::failed(format!("demo: {error}"));
    stage.heading("7. Mutual TLS: sleep connects to httpbin, each with its certificate");
    let meeting = mesh::connect(httpbin, Some(sleep), root).map_err(failed)?;
    stage.note("openssl s_client -CAfile RH_Custom_CA.crt would show of this connection:");
    let shown = chain::show(&meeting.served, root)
        .map_err(|error| Stop::failed(format!("demo: {error}")))?;
    stage.line(shown);
    stage.note(format_args!("httpbin answered: {}", meeting.answer));
    match mesh::connect(httpbin, None, root) {
        Err(mesh::MeshError::Refused(reason)) => {
            stage.note(format_args!(
                "a client without a certificate was refused: {reason}"
            ));
            Ok(())
        }
        Err(error) => Err(failed(error)),
        Ok(_) => Err(Stop::failed(
            "demo: httpbin served a client without a certificate",
        )),
    }
}

fn certificate_from(pem: &str) -> Result<CertificateDer<'static>, Stop> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| Stop::failed(format!("demo: the answer's certificate: {error}")))
}

/// The certificate, its issuer, and so on to the root, as PEM.
fn chain_of(answer: &str) -> Result<Vec<String>, Stop> {
    let mut chain = vec![text_at(answer, "/data/certificate")?];
    let authorities: Value = parsed(answer)?;
    let authorities = authorities
        .pointer("/data/ca_chain")
        .and_then(Value::as_array);
    for authority in authorities.into_iter().flatten() {
        chain.extend(authority.as_str().map(str::to_owned));
    }
    Ok(chain)
}

fn text_at(answer: &str, pointer: &str) -> Result<String, Stop> {
    parsed(answer)?
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Stop::failed(format!("demo: the answer has no {pointer}")))
}

fn parsed(answer: &str) -> Result<Value, Stop> {
    serde_json::from_str(answer)
        .map_err(|error| Stop::failed(format!("demo: the answer is no JSON: {error}")))
}
