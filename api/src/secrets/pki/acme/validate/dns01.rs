//! `dns-01` (RFC 8555 §8.4): a TXT record holds the digest of the key authorization.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::probe::Probe;
use crate::secrets::pki::acme::records::Identifier;
use crate::secrets::pki::acme::validate::Proof;

pub(super) async fn look(
    probe: &dyn Probe,
    identifier: &Identifier,
    proof: &Proof,
    resolver: Option<SocketAddr>,
) -> Result<(), String> {
    let name = format!("_acme-challenge.{}", identifier.value);
    let texts = probe
        .texts(&name, resolver)
        .await
        .map_err(|error| error.0)?;
    check(&texts, &URL_SAFE_NO_PAD.encode(proof.digest()))
}

/// Others may have records there too.
fn check(texts: &[String], expected: &str) -> Result<(), String> {
    if texts.iter().any(|text| text == expected) {
        return Ok(());
    }
    Err(format!("challenge failed against {} records", texts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_records_is_enough() {
        let checked = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            check(&texts, "digest")
        };
        assert_eq!(checked(&["digest"]), Ok(()));
        assert_eq!(checked(&["other", "digest", ""]), Ok(()));
        for texts in [
            &[][..],
            &["other"],
            &["digest "],
            &["Digest"],
            &["dig", "est"],
        ] {
            assert!(checked(texts).is_err(), "{texts:?}");
        }
    }
}
