//! The `tls_*` keys of a listener.

use std::path::PathBuf;

use super::section::{Report, Section};

/// How a listener speaks TLS. The files are read when the server starts and when it is reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Leaf first, then its chain; PEM.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) versions: Versions,
    /// Names of TLS 1.2 suites as the IANA registers them; empty for all that are safe.
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) clients: ClientCertificates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    Tls12,
    Tls12And13,
    Tls13,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    /// A certificate is asked for and passed on; nobody needs one, and none is judged here. The CA
    /// file only tells clients which one to choose.
    Ask {
        hints: Option<PathBuf>,
    },
    Never,
    /// No connection without a certificate from one of these CAs.
    Require {
        authorities: PathBuf,
    },
}

pub(super) fn read(section: &mut Section, report: &mut Report) -> Option<TlsSettings> {
    let disabled = section.flag("tls_disable", report).unwrap_or(false);
    let require_place = section.place_of("tls_require_and_verify_client_cert");
    let require = section
        .flag("tls_require_and_verify_client_cert", report)
        .unwrap_or(false);
    let never = section
        .flag("tls_disable_client_certs", report)
        .unwrap_or(false);
    let authorities = section.path("tls_client_ca_file", report);
    let certificate = section.path("tls_cert_file", report);
    let key = section.path("tls_key_file", report);
    let cipher_suites = cipher_suites(section, report);
    let versions = versions(section, report);
    section.ignore(&["tls_prefer_server_cipher_suites"]);
    section.warn_unsupported(&["tls_auto_reload"], report);
    refuse_acme(section, report);
    if disabled {
        if require {
            report.error(
                &require_place,
                "tls_require_and_verify_client_cert cannot hold with tls_disable",
            );
        }
        return None;
    }
    let clients = match (require, never, authorities) {
        (true, true, _) => {
            report.error(
                &require_place,
                "'tls_disable_client_certs' and 'tls_require_and_verify_client_cert' are mutually exclusive",
            );
            return None;
        }
        (true, false, None) => {
            report.error(
                &require_place,
                "tls_require_and_verify_client_cert needs tls_client_ca_file",
            );
            return None;
        }
        (true, false, Some(authorities)) => ClientCertificates::Require { authorities },
        (false, true, _) => ClientCertificates::Never,
        (false, false, hints) => ClientCertificates::Ask { hints },
    };
    let (Some(certificate), Some(key)) = (certificate, key) else {
        report.error(
            &section.place,
            "tls_cert_file and tls_key_file must be given, or tls_disable set",
        );
        return None;
    };
    Some(TlsSettings {
        certificate,
        key,
        versions: versions?,
        cipher_suites,
        clients,
    })
}

fn versions(section: &mut Section, report: &mut Report) -> Option<Versions> {
    let place = section.place_of("tls_min_version");
    let mut version = |key: &str, default: u8| match section.filled_text(key, report).as_deref() {
        None => Some(default),
        Some("tls10") => Some(10),
        Some("tls11") => Some(11),
        Some("tls12") => Some(12),
        Some("tls13") => Some(13),
        Some(other) => {
            report.error(&place, format_args!("{key}: unknown TLS version {other:?}"));
            None
        }
    };
    let least = version("tls_min_version", 12);
    let most = version("tls_max_version", 13);
    match (least?, most?) {
        (least, 10 | 11) => {
            report.error(
                &place,
                format_args!(
                    "tls_max_version below tls12 is not supported (tls_min_version is {least})"
                ),
            );
            None
        }
        (13, 12) => {
            report.error(&place, "tls_min_version is above tls_max_version");
            None
        }
        (13, _) => Some(Versions::Tls13),
        (least, most) => {
            if least < 12 {
                report.warn(
                    &place,
                    "tls_min_version below tls12 is not supported; tls12 is used",
                );
            }
            Some(if most == 12 {
                Versions::Tls12
            } else {
                Versions::Tls12And13
            })
        }
    }
}

fn cipher_suites(section: &mut Section, report: &mut Report) -> Vec<String> {
    let place = section.place_of("tls_cipher_suites");
    let Some(names) = section.list("tls_cipher_suites", report) else {
        return Vec::new();
    };
    let asked = names.len();
    let mut suites = Vec::new();
    for name in names {
        if crate::server::tls::tls12_suite(&name).is_some() {
            suites.push(name);
        } else if is_old_suite(&name) {
            report.warn(
                &place,
                format_args!("cipher suite {name} is not safe and not offered"),
            );
        } else if !name.starts_with("TLS_AES_") && !name.starts_with("TLS_CHACHA20_") {
            report.error(&place, format_args!("unsupported cipher {name:?}"));
        }
    }
    if asked > 0 && suites.is_empty() {
        report.error(&place, "tls_cipher_suites leaves no suite for TLS 1.2");
    }
    suites
}

/// Registered names of suites with RSA key exchange, CBC, RC4 or 3DES.
fn is_old_suite(name: &str) -> bool {
    name.starts_with("TLS_")
        && (name.starts_with("TLS_RSA_") || name.contains("_CBC_") || name.contains("_RC4_"))
}

fn refuse_acme(section: &mut Section, report: &mut Report) {
    section.refuse(
        &[
            "tls_acme_ca_directory",
            "tls_acme_domains",
            "tls_acme_email",
            "tls_acme_eab_key_id",
            "tls_acme_eab_mac_key",
            "tls_acme_cache_path",
            "tls_acme_ca_root",
        ],
        report,
    );
    section.ignore(&[
        "tls_acme_disable_http_challenge",
        "tls_acme_disable_alpn_challenge",
    ]);
}
