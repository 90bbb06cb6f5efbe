//! The name under which the program was called.

use std::path::Path;

use crate::version::{COMPATIBLE_VAULT_VERSION, SIGNET_VERSION};

/// Texts name the tool the user typed: scripts and tutorials call this program through a link
/// named `vault` or `bao`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Brand {
    pub(crate) command: &'static str,
    pub(crate) product: &'static str,
    /// Prefix of the environment variables in texts.
    pub(crate) variables: &'static str,
}

impl Brand {
    pub(crate) fn of(program: &str) -> Self {
        let name = Path::new(program)
            .file_stem()
            .and_then(|name| name.to_str());
        match name {
            Some("vault") => VAULT,
            Some("bao") => OPENBAO,
            _ => SIGNET,
        }
    }

    /// The line of `version`. Tools parse the second word of Vault's as a version of Vault.
    pub(crate) fn version_line(&self) -> String {
        if *self == SIGNET {
            format!("Signet v{SIGNET_VERSION} (compatible with Vault v{COMPATIBLE_VAULT_VERSION})")
        } else {
            format!(
                "{} v{COMPATIBLE_VAULT_VERSION} (Signet {SIGNET_VERSION})",
                self.product
            )
        }
    }

    /// Replaces the tool's and the variables' names in a text written for `signet`.
    pub(crate) fn apply(&self, text: &str) -> String {
        text.replace("Usage: signet", &format!("Usage: {}", self.command))
            .replace("$ signet", &format!("$ {}", self.command))
            .replace("\"signet ", &format!("\"{} ", self.command))
            .replace("VAULT_", &format!("{}_", self.variables))
    }
}

const OPENBAO: Brand = Brand {
    command: "bao",
    product: "OpenBao",
    variables: "BAO",
};
const SIGNET: Brand = Brand {
    command: "signet",
    product: "Signet",
    variables: "VAULT",
};
const VAULT: Brand = Brand {
    command: "vault",
    product: "Vault",
    variables: "VAULT",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_name_it_was_called_by() {
        assert_eq!(Brand::of("/usr/local/bin/vault").command, "vault");
        assert_eq!(Brand::of("bao").product, "OpenBao");
        assert_eq!(Brand::of("target/debug/signet").command, "signet");
        assert_eq!(Brand::of("").command, "signet");
    }

    #[test]
    fn the_second_word_of_vaults_version_is_a_version_of_vault() {
        let line = Brand::of("vault").version_line();
        let word = line.split(' ').nth(1).unwrap();
        assert_eq!(word, format!("v{COMPATIBLE_VAULT_VERSION}"));
    }
}
