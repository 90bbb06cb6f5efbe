//! The server through vaultrs.

use vaultrs::api::auth::approle::requests::SetAppRoleRequest;
use vaultrs::api::pki::requests::{
    GenerateCertificateRequest, GenerateIntermediateRequest, GenerateRootRequest, SetRoleRequest,
    SignIntermediateRequest,
};
use vaultrs::api::token::requests::CreateTokenRequest;
use vaultrs::auth::approle;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};
use vaultrs::{pki, sys, token};

use crate::{Outcome, Report, ensure};

pub(crate) async fn run(report: &mut Report) {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        report.add("ring", Err("another provider is installed".into()));
    }
    if std::env::var("CONFORMANCE_AGAINST").as_deref() == Ok("openbao") {
        Report::skip(
            "health",
            "OpenBao leaves out a field that vaultrs insists on",
        );
    } else {
        report.add("health", health().await);
    }
    report.add("mounts", mounts().await);
    report.add("policies", policies().await);
    report.add("tokens", tokens().await);
    report.add("approle", login().await);
    report.add("authorities and certificates", authorities().await);
}

fn client(token: Option<&str>) -> Result<VaultClient, Box<dyn std::error::Error>> {
    let mut settings = VaultClientSettingsBuilder::default();
    if let Some(token) = token {
        settings.token(token);
    }
    Ok(VaultClient::new(settings.build()?)?)
}

async fn health() -> Outcome {
    let root = client(None)?;
    ensure(sys::health(&root).await?.initialized, "health")?;
    ensure(
        matches!(root.status().await?, sys::ServerStatus::OK),
        "status",
    )
}

async fn mounts() -> Outcome {
    let root = client(None)?;
    sys::mount::enable(&root, "rust_mount", "pki", None).await?;
    ensure(
        sys::mount::list(&root).await?.contains_key("rust_mount/"),
        "mounts",
    )?;
    sys::mount::disable(&root, "rust_mount").await?;
    ensure(
        sys::auth::list(&root).await?.contains_key("token/"),
        "auth methods",
    )
}

async fn policies() -> Outcome {
    let root = client(None)?;
    let rules = "path \"rust/*\" { capabilities = [\"read\"] }";
    sys::policy::set(&root, "rust", rules).await?;
    ensure(
        sys::policy::read(&root, "rust").await?.rules == rules,
        "rules",
    )?;
    ensure(
        sys::policy::list(&root)
            .await?
            .policies
            .contains(&"rust".to_owned()),
        "list",
    )?;
    sys::policy::delete(&root, "rust").await?;
    ensure(sys::policy::read(&root, "rust").await.is_err(), "deleted")
}

async fn tokens() -> Outcome {
    let root = client(None)?;
    let mut asked = CreateTokenRequest::builder();
    asked.policies(vec!["default".to_owned()]).ttl("1h");
    let made = token::new(&root, Some(&mut asked)).await?;
    let found = token::lookup(&root, &made.client_token).await?;
    ensure(found.policies == ["default"], &found.policies)?;
    let own = client(Some(&made.client_token))?;
    ensure(own.lookup().await?.accessor == made.accessor, "accessor")?;
    ensure(
        own.renew(Some("30m")).await?.lease_duration == 1800,
        "renewed",
    )?;
    own.revoke().await?;
    ensure(
        token::lookup(&root, &made.client_token).await.is_err(),
        "revoked",
    )
}

async fn login() -> Outcome {
    let root = client(None)?;
    sys::auth::enable(&root, "rust_machines", "approle", None).await?;
    let mut role = SetAppRoleRequest::builder();
    role.token_policies(vec!["default".to_owned()])
        .token_ttl("10m");
    approle::role::set(&root, "rust_machines", "r", Some(&mut role)).await?;
    ensure(
        approle::role::list(&root, "rust_machines").await?.keys == ["r"],
        "roles",
    )?;
    let id = approle::role::read_id(&root, "rust_machines", "r")
        .await?
        .role_id;
    let secret = approle::role::secret::generate(&root, "rust_machines", "r", None).await?;
    let nobody = client(Some("none"))?;
    let auth = approle::login(&nobody, "rust_machines", &id, &secret.secret_id).await?;
    ensure(
        auth.lease_duration == 600 && auth.renewable,
        auth.lease_duration,
    )?;
    approle::role::secret::delete(&root, "rust_machines", "r", &secret.secret_id).await?;
    ensure(
        approle::login(&nobody, "rust_machines", &id, &secret.secret_id)
            .await
            .is_err(),
        "destroyed",
    )?;
    sys::auth::disable(&root, "rust_machines").await?;
    Ok(())
}

async fn authorities() -> Outcome {
    let root = client(None)?;
    for mount in ["rust_root", "rust_int"] {
        sys::mount::enable(&root, mount, "pki", None).await?;
    }
    let mut asked = GenerateRootRequest::builder();
    asked
        .common_name("Rust root")
        .key_type("ec")
        .key_bits(256_u64)
        .ttl("720h");
    let made = pki::cert::ca::generate(&root, "rust_root", "internal", Some(&mut asked)).await?;
    ensure(
        made.is_some_and(|made| made.certificate.starts_with("-----BEGIN")),
        "root",
    )?;
    let mut asked = GenerateIntermediateRequest::builder();
    asked.key_type("ec").key_bits(256_u64);
    let request =
        pki::cert::ca::int::generate(&root, "rust_int", "internal", "Rust", Some(&mut asked))
            .await?;
    let mut asked = SignIntermediateRequest::builder();
    asked.ttl("600h");
    let signed = pki::cert::ca::sign_intermediate(
        &root,
        "rust_root",
        &request.csr,
        "Rust",
        Some(&mut asked),
    )
    .await?;
    pki::cert::ca::int::set_signed(&root, "rust_int", &signed.certificate).await?;
    let mut role = SetRoleRequest::builder();
    role.allow_any_name(true).key_type("ec").key_bits(256_u64);
    pki::role::set(&root, "rust_int", "r", Some(&mut role)).await?;
    ensure(
        pki::role::list(&root, "rust_int").await?.keys == ["r"],
        "roles",
    )?;
    ensure(
        pki::role::read(&root, "rust_int", "r")
            .await?
            .allow_any_name,
        "role",
    )?;
    let mut asked = GenerateCertificateRequest::builder();
    asked.common_name("a.example.com").ttl("1h");
    let leaf = pki::cert::generate(&root, "rust_int", "r", Some(&mut asked)).await?;
    ensure(leaf.private_key_type == "ec", &leaf.private_key_type)?;
    ensure(
        pki::cert::list(&root, "rust_int")
            .await?
            .contains(&leaf.serial_number),
        "list",
    )?;
    let read = pki::cert::read(&root, "rust_int", &leaf.serial_number).await?;
    ensure(read.certificate.trim() == leaf.certificate.trim(), "read")?;
    ensure(
        pki::cert::revoke(&root, "rust_int", &leaf.serial_number)
            .await?
            .revocation_time
            > 0,
        "revoked",
    )?;
    ensure(
        pki::cert::crl::rotate(&root, "rust_int").await?.success,
        "rotated",
    )?;
    let urls = pki::cert::urls::read(&root, "rust_int").await;
    ensure(urls.is_ok(), urls.err())?;
    ensure(
        !pki::issuer::list(&root, "rust_int").await?.keys.is_empty(),
        "issuers",
    )
}
