//! What the tests of tokens share.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Server};

/// A policy that allows everything about tokens but is no sudo.
pub(crate) const MAKER: &str = r#"
path "auth/token/*" { capabilities = ["create", "update", "read", "delete", "list"] }
path "sys/*" { capabilities = ["create", "update", "read", "list"] }
path "cubbyhole/*" { capabilities = ["create", "update", "read", "delete", "list"] }
"#;

/// The same with sudo.
pub(crate) const SUDO_MAKER: &str = r#"
path "auth/token/*" { capabilities = ["create", "update", "read", "delete", "list", "sudo"] }
"#;

impl Server {
    /// With the policies `maker` and `sudo-maker`.
    pub(crate) async fn with_makers() -> Self {
        Self::start().await.and_makers().await
    }

    pub(crate) async fn and_makers(self) -> Self {
        self.policy("maker", MAKER).await;
        self.policy("sudo-maker", SUDO_MAKER).await;
        self
    }

    pub(crate) async fn policy(&self, name: &str, text: &str) {
        let core = self.node.core().unwrap();
        core.policies.put(name, text).await.unwrap();
    }

    pub(crate) async fn create(&self, caller: &str, data: Value) -> Answer {
        self.write(caller, "auth/token/create", data).await
    }

    /// A new token.
    pub(crate) async fn token(&self, caller: &str, data: Value) -> String {
        let answer = self.create(caller, data).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
        client_token(&answer)
    }

    /// A token with the policies `default` and `maker`.
    pub(crate) async fn maker(&self) -> String {
        self.token(ROOT, json!({"policies": ["maker"]})).await
    }

    pub(crate) async fn sudo_maker(&self) -> String {
        self.token(ROOT, json!({"policies": ["sudo-maker"]})).await
    }

    pub(crate) async fn lookup(&self, token: &str) -> Answer {
        self.write(ROOT, "auth/token/lookup", json!({"token": token}))
            .await
    }

    /// Is the token good for anything?
    pub(crate) async fn works(&self, token: &str) -> bool {
        let works = self.read(token, "auth/token/lookup-self").await.0 == 200;
        // Once more, not from a cache that the first request filled.
        works && self.lookup(token).await.0 == 200
    }
}

pub(crate) fn client_token(answer: &Answer) -> String {
    answer.1["auth"]["client_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn wrapping_token(answer: &Answer) -> String {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["wrap_info"]["token"].as_str().unwrap().to_owned()
}
