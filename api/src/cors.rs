//! Which web pages of other origins may call the API.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record, View};

use crate::error::ApiError;

/// Allowed origins and headers. Without one, no page of another origin may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsConfig {
    /// Just `*`, or origins such as `https://ui.example.com`.
    pub allowed_origins: Vec<String>,
    /// Beyond [`STANDARD_HEADERS`].
    pub allowed_headers: Vec<String>,
}

impl Record for CorsConfig {
    const FORMAT: u8 = 1;
}

/// Request headers that an allowed page may always send.
pub const STANDARD_HEADERS: &[&str] = &[
    "Content-Type",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Vault-Policy-Override",
    "Authorization",
    "X-Vault-Token",
];

impl CorsConfig {
    /// May pages of `origin` call?
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    /// All headers that an allowed page may send.
    #[must_use]
    pub fn headers(&self) -> Vec<&str> {
        let own = self.allowed_headers.iter().map(String::as_str);
        STANDARD_HEADERS.iter().copied().chain(own).collect()
    }
}

/// The stored configuration and its copy in memory.
#[derive(Debug)]
pub struct Cors {
    view: View,
    current: ArcSwapOption<CorsConfig>,
}

const NAME: &str = "cors";

impl Cors {
    pub async fn open(view: View) -> Result<Self, ApiError> {
        let stored = view.record::<CorsConfig>(NAME).await?;
        let current = ArcSwapOption::new(stored.map(|stored| Arc::new(stored.value)));
        Ok(Self { view, current })
    }

    /// `None` while disabled.
    #[must_use]
    pub fn config(&self) -> Option<Arc<CorsConfig>> {
        self.current.load_full()
    }

    /// Adds the change to `batch`; [`Cors::adopt`] must follow its commit.
    pub fn stage(&self, batch: &mut Batch, config: Option<&CorsConfig>) -> Result<(), ApiError> {
        match config {
            Some(config) => self.view.put_record(batch, NAME, config)?,
            None => self.view.delete(batch, NAME),
        }
        Ok(())
    }

    pub fn adopt(&self, config: Option<CorsConfig>) {
        self.current.store(config.map(Arc::new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_may_call() {
        let config = CorsConfig {
            allowed_origins: vec!["https://a.example".into()],
            allowed_headers: vec!["X-Own".into()],
        };
        assert!(config.allows("https://a.example"));
        assert!(!config.allows("https://a.example.evil.test"));
        assert!(config.headers().contains(&"X-Own"));
    }
}
