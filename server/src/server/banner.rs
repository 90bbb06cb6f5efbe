//! What a server prints when it starts. Scripts look for some of these lines.

use std::fmt::Write as _;
use std::io::Write as _;

use tracing::level_filters::LevelFilter;

use super::Addresses;
use super::dev::{DevFiles, DevKeys};
use crate::config::Settings;
use crate::version::{COMPATIBLE_VAULT_VERSION, SIGNET_VERSION};

pub(super) fn print(
    settings: &Settings,
    addresses: &Addresses,
    dev: Option<&DevKeys>,
    files: Option<&DevFiles>,
) {
    let mut text = configuration(settings, addresses);
    text.push_str("==> Signet server started! Log data will stream in below:\n\n");
    if let Some(keys) = dev {
        text.push_str(&dev_part(settings, &addresses.api, keys, files));
    }
    // Who started the server may have closed the stream; that is no reason to stop.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn configuration(settings: &Settings, addresses: &Addresses) -> String {
    let mut lines = vec![("Api Address".to_owned(), addresses.api.clone())];
    for (index, listener) in addresses.listeners.iter().enumerate() {
        lines.push((format!("Listener {}", index + 1), listener.clone()));
    }
    let level = match settings.log.level {
        LevelFilter::OFF => "off".into(),
        level => level.to_string().to_ascii_lowercase(),
    };
    let seal = if settings.seal.is_some() {
        "static"
    } else {
        "shamir"
    };
    lines.push(("Log Level".into(), level));
    lines.push(("Seal".into(), seal.into()));
    lines.push(("Storage".into(), settings.storage.name.into()));
    lines.push((
        "Version".into(),
        format!("Signet v{SIGNET_VERSION}, API of Vault v{COMPATIBLE_VAULT_VERSION}"),
    ));
    let mut text = String::from("==> Signet server configuration:\n\n");
    for (label, value) in lines {
        let _ = writeln!(text, "{label:>23}: {value}");
    }
    text.push('\n');
    text
}

fn dev_part(settings: &Settings, api: &str, keys: &DevKeys, files: Option<&DevFiles>) -> String {
    let directory = settings.dev.as_ref().and_then(|dev| dev.directory.as_ref());
    let mut text = match directory {
        None => "WARNING! dev mode is enabled! In this mode, Signet runs entirely in-memory\n\
             and starts unsealed with a single unseal key. The root token is already\n\
             authenticated to the CLI, so you can immediately begin using Signet.\n"
            .to_owned(),
        Some(directory) => format!(
            "WARNING! dev mode is enabled! In this mode, Signet starts unsealed with a\n\
             single unseal key. The data are kept in {directory},\n\
             and the unseal key and the root token beside them, in clear, in\n\
             {directory}/dev-keys.json (mode 0600): whoever can read that file owns the server.\n",
            directory = directory.display()
        ),
    };
    text.push_str("\nYou may need to set the following environment variables:\n\n");
    for prefix in ["VAULT", "BAO"] {
        let _ = writeln!(text, "    $ export {prefix}_ADDR='{api}'");
    }
    if let Some(files) = files {
        for prefix in ["VAULT", "BAO"] {
            let authority = files.certificate.authority.display();
            let _ = writeln!(text, "    $ export {prefix}_CACERT='{authority}'");
        }
    }
    let _ = write!(
        text,
        "\nThe unseal key and root token are displayed below in case you want to\n\
         seal/unseal the Vault or re-authenticate.\n\n\
         Unseal Key: {}\nRoot Token: {}\n\n\
         Development mode should NOT be used in production installations!\n\n",
        keys.unseal_key.as_str(),
        keys.root_token.as_str()
    );
    text
}
