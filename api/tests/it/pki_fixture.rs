//! A PKI mount with a root and a role, and the `openssl` command to judge what comes out of it.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use serde_json::{Value, json};
use signet_api::call::{Call, Op};
use signet_api::mount::MountConfig;
use signet_api::reply::Response;
use signet_pki::crl::Crl;

use crate::support::{Answer, ROOT, Server, call};

/// When the clock of a new server stands.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct Pki {
    pub(crate) server: Server,
    /// PEM of the root.
    pub(crate) root: String,
    pub(crate) root_id: String,
}

impl Pki {
    /// A mount at `pki/` with nothing in it.
    pub(crate) async fn empty() -> Self {
        Self::empty_on(Server::start().await).await
    }

    async fn empty_on(server: Server) -> Self {
        mount(&server, "pki/").await;
        Self {
            server,
            root: String::new(),
            root_id: String::new(),
        }
    }

    /// A P-256 root called `root` and a role `web` that allows any name.
    pub(crate) async fn start() -> Self {
        Self::start_on(Server::start().await).await
    }

    /// As [`Self::start`], on this server.
    pub(crate) async fn start_on(server: Server) -> Self {
        let mut pki = Self::empty_on(server).await;
        let root = pki
            .ok(
                "root/generate/internal",
                json!({"common_name": "Root", "key_type": "ec", "issuer_name": "root", "ttl": "87600h"}),
            )
            .await;
        pki.root = text(&root["certificate"]);
        pki.root_id = text(&root["issuer_id"]);
        pki.ok(
            "roles/web",
            json!({"allow_any_name": true, "key_type": "ec", "ttl": "24h", "max_ttl": "8760h"}),
        )
        .await;
        pki
    }

    /// Writes, and gives back the data of an answer that must be 200, 202 or 204.
    pub(crate) async fn ok(&self, path: &str, data: Value) -> Value {
        let (status, body) = self.write(path, data).await;
        assert!(matches!(status, 200 | 202 | 204), "{path}: {status} {body}");
        body["data"].clone()
    }

    pub(crate) async fn write(&self, path: &str, data: Value) -> Answer {
        self.server.write(ROOT, &format!("pki/{path}"), data).await
    }

    pub(crate) async fn read(&self, path: &str) -> Answer {
        self.server.read(ROOT, &format!("pki/{path}")).await
    }

    /// The text of the first error and the status.
    pub(crate) async fn refused(&self, path: &str, data: Value) -> (u16, String) {
        let answer = self.write(path, data).await;
        (answer.0, crate::support::error(&answer).to_owned())
    }

    /// Reads without a token.
    pub(crate) async fn fetch(&self, path: &str) -> Response {
        self.fetch_with(path, &[]).await
    }

    pub(crate) async fn fetch_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let call = Call {
            headers,
            ..call(Op::Read, &format!("pki/{path}"), "", Value::Null)
        };
        self.server.response(call).await
    }

    pub(crate) async fn ocsp(&self, request: &[u8]) -> Response {
        let call = Call {
            raw_body: Bytes::copy_from_slice(request),
            ..call(Op::Write, "pki/ocsp", "", Value::Null)
        };
        self.server.response(call).await
    }

    /// Issues under the role `web`.
    pub(crate) async fn issue(&self, common_name: &str) -> Value {
        self.ok("issue/web", json!({ "common_name": common_name }))
            .await
    }

    /// Issues and gives back the serial number.
    pub(crate) async fn serial(&self, common_name: &str) -> String {
        text(&self.issue(common_name).await["serial_number"])
    }

    pub(crate) async fn revoke(&self, serial: &str) -> Value {
        self.ok("revoke", json!({ "serial_number": serial })).await
    }

    /// The complete CRL of the default issuer.
    pub(crate) async fn crl(&self) -> Crl {
        self.crl_at("crl").await
    }

    pub(crate) async fn crl_at(&self, path: &str) -> Crl {
        let response = self.fetch(path).await;
        assert_eq!(response.status, 200, "{path}");
        Crl::parse_der(&response.body).unwrap()
    }

    /// Serial numbers on the complete CRL of the default issuer.
    pub(crate) async fn listed(&self) -> Vec<String> {
        serials(&self.crl().await)
    }

    /// Reads with a token, and gives back the data of an answer that must be 200.
    pub(crate) async fn ok_read(&self, path: &str) -> Value {
        let (status, body) = self.read(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body["data"].clone()
    }

    /// What a restart does: everything in memory is gone.
    pub(crate) async fn reopen(&self) {
        let node = &self.server.node;
        let store = node.core().unwrap().store.clone();
        node.seal().await;
        node.start(store).await.unwrap();
    }

    /// Revokes one certificate, and copies what storage says of it under other serial numbers.
    pub(crate) async fn revoke_many(&self, count: u32) {
        let serial = self.serial("first.example.com").await;
        self.revoke(&serial).await;
        let store = self.server.node.core().unwrap().store.clone();
        let serial = serial.replace(':', "-");
        let paths = store.keys("", None, usize::MAX).await.unwrap();
        let suffix = format!("/revoked/{serial}");
        let path = paths.iter().find(|path| path.ends_with(&suffix)).unwrap();
        let folder = path.strip_suffix(&serial).unwrap();
        let value = store.get(path).await.unwrap().unwrap().value;
        let mut batch = signet_storage::Batch::default();
        for n in 1..count {
            let octets = hex::encode([&[1; 16][..], &n.to_be_bytes()].concat());
            let text: Vec<&str> = (0..20).map(|at| &octets[at * 2..at * 2 + 2]).collect();
            batch.put(format!("{folder}{}", text.join("-")), value.clone());
        }
        store.commit(batch).await.unwrap();
    }

    /// Signs an intermediate with the root, imports it under `name` and gives back its serial
    /// number.
    pub(crate) async fn intermediate(&self, name: &str) -> String {
        let request = json!({"common_name": name, "key_type": "ec"});
        let csr = self.ok("intermediate/generate/internal", request).await;
        let request = json!({"csr": csr["csr"], "common_name": name, "ttl": "1000h"});
        let signed = self.ok("root/sign-intermediate", request).await;
        let request = json!({"certificate": signed["certificate"]});
        let imported = self.ok("intermediate/set-signed", request).await;
        let id = text(&imported["imported_issuers"][0]);
        self.edit_record(&format!("issuer/{id}"), |record| {
            record["name"] = json!(name);
        })
        .await;
        text(&signed["serial_number"])
    }

    pub(crate) async fn edit_issuer(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let store = self.server.node.core().unwrap().store.clone();
        for path in store.keys("", None, usize::MAX).await.unwrap() {
            if !path.contains("/issuer/") {
                continue;
            }
            let value = store.get(&path).await.unwrap().unwrap().value;
            let record: Value = serde_json::from_slice(&value[1..]).unwrap();
            if record["name"] == name {
                let (_, relative) = path.split_once("/issuer/").unwrap();
                self.edit_record(&format!("issuer/{relative}"), edit).await;
                return;
            }
        }
        panic!("no issuer {name}");
    }

    /// Changes a stored record, as another server at the same storage would.
    pub(crate) async fn edit_record(&self, relative: &str, edit: impl FnOnce(&mut Value)) {
        let store = self.server.node.core().unwrap().store.clone();
        let paths = store.keys("mount/", None, usize::MAX).await.unwrap();
        let suffix = format!("/{relative}");
        let path = paths.iter().find(|path| path.ends_with(&suffix)).unwrap();
        let path = format!("mount/{path}");
        let value = store.get(&path).await.unwrap().unwrap().value;
        let mut record: Value = serde_json::from_slice(&value[1..]).unwrap();
        edit(&mut record);
        let mut bytes = vec![value[0]];
        bytes.extend(serde_json::to_vec(&record).unwrap());
        let mut batch = signet_storage::Batch::default();
        batch.put(path, bytes);
        store.commit(batch).await.unwrap();
    }

    pub(crate) async fn tick(&self) {
        self.server.node.tick().await;
    }
}

pub(crate) async fn mount(server: &Server, path: &str) {
    let config = MountConfig {
        max_lease_ttl_secs: 315_360_000,
        ..MountConfig::default()
    };
    let core = server.node.core().unwrap();
    core.mounts
        .mount(path, "pki", config, false, false)
        .await
        .unwrap();
}

pub(crate) fn serials(crl: &Crl) -> Vec<String> {
    crl.revoked
        .iter()
        .map(|entry| entry.serial.to_colon_hex())
        .collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response
        .headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// A folder for the `openssl` command.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    /// Standard output and error of `openssl`, which must succeed.
    pub(crate) fn openssl(&self, arguments: &str) -> String {
        let (ok, text) = self.try_openssl(arguments);
        assert!(ok, "openssl {arguments}: {text}");
        text
    }

    pub(crate) fn try_openssl(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }
}
