//! Hosts, as a test has them look from outside.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use parking_lot::Mutex;
use signet_api::probe::{Handshake, Host, Page, Probe, ProbeError};

/// Nobody is there until a test says so.
#[derive(Debug, Default)]
pub(crate) struct FakeProbe {
    pages: Mutex<BTreeMap<String, Page>>,
    texts: Mutex<BTreeMap<String, Vec<String>>>,
    handshakes: Mutex<BTreeMap<String, Handshake>>,
    looks: Mutex<Vec<(String, Option<SocketAddr>)>>,
}

impl FakeProbe {
    /// A page at a URL without a scheme, e.g. `a.example/x`.
    pub(crate) fn set_page(&self, url: &str, status: u16, body: &str) {
        let page = Page {
            status,
            body: body.as_bytes().to_vec().into(),
        };
        self.pages.lock().insert(url.to_owned(), page);
    }

    pub(crate) fn set_texts(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(ToString::to_string).collect();
        self.texts.lock().insert(name.to_owned(), texts);
    }

    pub(crate) fn set_handshake(&self, name: &str, handshake: Handshake) {
        self.handshakes.lock().insert(name.to_owned(), handshake);
    }

    /// What was looked at, and with which resolver, since the last call.
    pub(crate) fn take_looks(&self) -> Vec<(String, Option<SocketAddr>)> {
        std::mem::take(&mut self.looks.lock())
    }

    pub(crate) fn count_looks(&self) -> usize {
        self.looks.lock().len()
    }

    fn look<T: Clone>(
        &self,
        at: &Mutex<BTreeMap<String, T>>,
        what: String,
        resolver: Option<SocketAddr>,
    ) -> Result<T, ProbeError> {
        let found = at.lock().get(&what).cloned();
        self.looks.lock().push((what, resolver));
        found.ok_or_else(|| ProbeError("nobody is there".into()))
    }
}

#[async_trait]
impl Probe for FakeProbe {
    async fn page(
        &self,
        host: &Host,
        path: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Page, ProbeError> {
        let host = match host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        };
        self.look(&self.pages, format!("{host}{path}"), resolver)
    }

    async fn texts(
        &self,
        name: &str,
        resolver: Option<SocketAddr>,
    ) -> Result<Vec<String>, ProbeError> {
        self.look(&self.texts, name.to_owned(), resolver)
    }

    async fn handshake(
        &self,
        name: &str,
        protocol: &[u8],
        resolver: Option<SocketAddr>,
    ) -> Result<Handshake, ProbeError> {
        assert_eq!(protocol, b"acme-tls/1");
        self.look(&self.handshakes, name.to_owned(), resolver)
    }
}
