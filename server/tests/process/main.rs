//! The real program, started, spoken to over sockets, signalled and killed.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod dev;
mod http;
mod kubernetes_login;
mod lifecycle;
mod support;
mod tls;
