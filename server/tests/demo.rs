//! `signet demo`, as somebody runs it who has just got the program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn demo(home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command
        .arg("demo")
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        // Somebody else's server, which must be left alone.
        .env("VAULT_ADDR", "http://127.0.0.1:1")
        .stdin(Stdio::null());
    command
}

#[test]
fn ends_with_a_verified_chain_of_three_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(&home).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown}\n{errors}");
    let verified = "\
depth=2 C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Root CA
verify return:1
depth=1 C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Intermediate CA
verify return:1
depth=0 C = US, O = Red Hat Consulting, OU = RH-SPPRT
verify return:1
---
Certificate chain
 0 s:C = US, O = Red Hat Consulting, OU = RH-SPPRT
   i:C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Intermediate CA
 1 s:C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Intermediate CA
   i:C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Root CA
 2 s:C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Root CA
   i:C = US, O = Red Hat Consulting, OU = RH-FSI, CN = RH Custom Root CA
---
Verify return code: 0 (ok)
";
    assert!(shown.contains(verified), "{shown}");
    for line in [
        "$ vault secrets enable pki\nSuccess! Enabled the pki secrets engine at: pki/\n",
        "httpbin answered: hello, spiffe://cluster.local/ns/httpbin/sa/sleep\n",
        "a client without a certificate was refused: ",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(errors, "");
    assert_eq!(home.path().read_dir().unwrap().count(), 0);
}

#[test]
fn keeps_the_server_until_it_is_told_to_stop() {
    let home = tempfile::tempdir().unwrap();
    let mut process = demo(&home)
        .arg("-keep")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = lines
        .map(|line| line.unwrap())
        .skip_while(|line| !line.contains("keeps running"))
        .find_map(|line| Some(line.split_once("VAULT_ADDR=http://")?.1.to_owned()))
        .expect("the address is printed");
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "GET /v1/pki_int_ca/roles/rh-custom-issuer HTTP/1.1\r\nHost: {address}\r\n\
         X-Vault-Token: root\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let stopped = Command::new("kill")
        .arg(process.id().to_string())
        .status()
        .unwrap();
    assert!(stopped.success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(home.path().read_dir().unwrap().count(), 0);
}
