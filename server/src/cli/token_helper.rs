//! The token of the user: from the environment, or kept in `~/.vault-token` between commands.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::args::go_io_error;
use crate::cli::ui::Stop;
use crate::config::env::Environment;

/// The token that requests carry, if there is one.
pub(crate) fn current_token(environment: &Environment) -> Result<Option<Zeroizing<String>>, Stop> {
    let token = match environment.setting("TOKEN") {
        Some(token) => Some(Zeroizing::new(token.trim().to_owned())),
        None => stored_token(environment)?,
    };
    match &token {
        Some(token)
            if token
                .chars()
                .any(|character| !(' '..='~').contains(&character)) =>
        {
            Err(Stop::failed(
                "failed to create client: configured token contains non-printable characters and cannot be used",
            ))
        }
        _ => Ok(token),
    }
}

/// Keeps the token for later commands, readable by the user only.
pub(crate) fn store(environment: &Environment, token: &str) -> Result<(), Stop> {
    let path = token_path(environment)
        .ok_or_else(|| Stop::failed("Error storing token: the home directory is unknown"))?;
    write_private(&path, token.as_bytes()).map_err(|error| {
        Stop::failed(format!(
            "Error storing token: {}: {}",
            path.display(),
            go_io_error(&error)
        ))
    })
}

fn stored_token(environment: &Environment) -> Result<Option<Zeroizing<String>>, Stop> {
    let Some(path) = token_path(environment) else {
        return Ok(None);
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            let token = Zeroizing::new(text.trim().to_owned());
            Ok(Some(token).filter(|token| !token.is_empty()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Stop::failed(format!(
            "failed to get token from token helper: error reading token: {}: {}",
            path.display(),
            go_io_error(&error)
        ))),
    }
}

fn token_path(environment: &Environment) -> Option<PathBuf> {
    match environment.setting("TOKEN_PATH") {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(Path::new(environment.variable("HOME")?).join(".vault-token")),
    }
}

/// Writes beside the target and renames, so that a reader sees the old token or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn keeps_the_token_private_and_finds_it_again() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(&[("HOME", home.path().to_str().unwrap())]);
        assert_eq!(current_token(&environment).unwrap(), None);
        store(&environment, "s.first").unwrap();
        store(&environment, "s.second").unwrap();
        let token = current_token(&environment).unwrap().unwrap();
        assert_eq!(token.as_str(), "s.second");
        let metadata = fs::metadata(home.path().join(".vault-token")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        fs::write(&path, "from-file\n").unwrap();
        let path = path.to_str().unwrap();
        let token = current_token(&environment(&[
            ("VAULT_TOKEN_PATH", path),
            ("BAO_TOKEN", "t"),
        ]));
        assert_eq!(token.unwrap().unwrap().as_str(), "t");
        let token = current_token(&environment(&[("VAULT_TOKEN_PATH", path)]));
        assert_eq!(token.unwrap().unwrap().as_str(), "from-file");
    }

    #[test]
    fn refuses_a_token_that_no_header_can_carry() {
        assert!(current_token(&environment(&[("BAO_TOKEN", "a\u{7}b")])).is_err());
    }
}
