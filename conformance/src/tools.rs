//! The two servers: Signet is built, the reference installed.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds the server with the profile of this program; gives the file beside this one.
pub(crate) fn signet() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("signet");
    let released = program
        .parent()
        .is_some_and(|folder| folder.ends_with("release"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--quiet", "--package", "signet-server"])
        .args(released.then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !built.success() {
        return Err(io::Error::other("the server does not build"));
    }
    Ok(program)
}

/// What `SIGNET_TEST_BAO` names, or what `scripts/tools` installs.
pub(crate) fn reference() -> io::Result<PathBuf> {
    const NAME: &str = "SIGNET_TEST_BAO";
    if let Some(program) = std::env::var_os(NAME) {
        return Ok(program.into());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/tools");
    let printed = Command::new(script).stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8_lossy(&printed.stdout);
    printed
        .split_whitespace()
        .find_map(|word| {
            word.strip_prefix(NAME)?
                .strip_prefix("='")?
                .strip_suffix('\'')
        })
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other("the reference cannot be installed"))
}
