//! `http-01` (RFC 8555 §8.3): a page on the host says the key authorization.

use std::net::SocketAddr;

use crate::probe::{Host, Page, Probe};
use crate::secrets::pki::acme::records::Identifier;
use crate::secrets::pki::acme::validate::Proof;

pub(super) async fn look(
    probe: &dyn Probe,
    identifier: &Identifier,
    proof: &Proof,
    resolver: Option<SocketAddr>,
) -> Result<(), String> {
    let host = match identifier.address() {
        Some(address) => Host::Address(address),
        None => Host::Name(identifier.value.clone()),
    };
    let path = format!("/.well-known/acme-challenge/{}", proof.token);
    let page = probe.page(&host, &path, resolver).await;
    check(&page.map_err(|error| error.0)?, &proof.key_authorization)
}

fn check(page: &Page, expected: &str) -> Result<(), String> {
    if page.status != 200 {
        return Err(format!("the page has status {}, not 200", page.status));
    }
    if page.body.len() < expected.len() {
        return Err(format!(
            "response too small: received {} < {} bytes",
            page.body.len(),
            expected.len()
        ));
    }
    if page.body.trim_ascii() != expected.as_bytes() {
        return Err("the page does not hold the key authorization of this account".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, body: &str) -> Result<(), String> {
        let page = Page {
            status,
            body: body.as_bytes().to_vec().into(),
        };
        check(&page, "token.thumbprint")
    }

    #[test]
    fn the_page_says_the_key_authorization_and_nothing_else() {
        for body in [
            "token.thumbprint",
            "token.thumbprint\r\n",
            " token.thumbprint \n",
        ] {
            assert_eq!(checked(200, body), Ok(()), "{body:?}");
        }
        for (body, reason) in [
            ("", "too small"),
            ("token", "too small"),
            ("token.thumbprins", "does not hold"),
            ("tokem.thumbprint", "does not hold"),
            ("token.thumbprint.", "does not hold"),
            ("token.thumbprint token.thumbprint", "does not hold"),
        ] {
            assert!(checked(200, body).unwrap_err().contains(reason), "{body:?}");
        }
        assert!(
            checked(404, "token.thumbprint")
                .unwrap_err()
                .contains("404")
        );
    }
}
