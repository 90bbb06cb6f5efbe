//! `tls-alpn-01` (RFC 8737): a TLS server that speaks the protocol `acme-tls/1` for the name shows
//! a certificate that holds the digest of the key authorization.

use std::net::SocketAddr;

use der::oid::ObjectIdentifier;
use signet_pki::cert::Certificate;
use signet_pki::oid;

use crate::probe::{Handshake, Probe};
use crate::secrets::pki::acme::records::Identifier;
use crate::secrets::pki::acme::validate::Proof;

const PROTOCOL: &[u8] = b"acme-tls/1";

/// `id-pe-acmeIdentifier` (RFC 8737 §6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");

pub(super) async fn look(
    probe: &dyn Probe,
    identifier: &Identifier,
    proof: &Proof,
    resolver: Option<SocketAddr>,
) -> Result<(), String> {
    let handshake = probe.handshake(&identifier.value, PROTOCOL, resolver).await;
    let handshake = handshake.map_err(|error| error.0)?;
    Ok(check(
        &handshake,
        &identifier.value,
        proof.digest().as_ref(),
    )?)
}

fn check(handshake: &Handshake, name: &str, digest: &[u8]) -> Result<(), &'static str> {
    if handshake.protocol.as_deref() != Some(PROTOCOL) {
        return Err("the server does not speak the protocol acme-tls/1");
    }
    let [der] = handshake.certificates.as_slice() else {
        return Err("the server shows another number of certificates than one");
    };
    let certificate =
        Certificate::parse_der(der.clone()).map_err(|_| "the certificate cannot be read")?;
    if !certificate.is_self_signed() {
        return Err("the certificate is not self-signed");
    }
    let value = certificate.extension_value(oid::SUBJECT_ALT_NAME);
    if !value.is_some_and(|value| is_only_name(value, name)) {
        return Err("the certificate is not for exactly this name");
    }
    let mut extensions = certificate.extensions().iter();
    let Some(extension) = extensions.find(|extension| extension.oid == ACME_IDENTIFIER) else {
        return Err("the certificate has no acmeIdentifier extension");
    };
    if !extension.critical {
        return Err("the acmeIdentifier extension is not critical");
    }
    // An OCTET STRING of 32.
    if extension.value.strip_prefix(&[4, 32]) != Some(digest) {
        return Err("the certificate does not hold the key authorization of this account");
    }
    Ok(())
}

/// Is it `SEQUENCE { [2] name }`? Names of other kinds must not be there either, so the bytes are
/// compared. Host names are longer than 127 bytes only with a longer form of length.
fn is_only_name(value: &[u8], name: &str) -> bool {
    let element = |tag: u8, content: &[u8]| {
        let mut element = vec![tag];
        match u8::try_from(content.len()) {
            Ok(length @ ..=127) => element.push(length),
            Ok(length) => element.extend([0x81, length]),
            Err(_) => element.extend([
                0x82,
                u8::try_from(content.len() >> 8).unwrap_or(u8::MAX),
                u8::try_from(content.len() & 0xff).unwrap_or(u8::MAX),
            ]),
        }
        element.extend(content);
        element
    };
    let expected = element(0x30, &element(0x82, name.as_bytes()));
    value.eq_ignore_ascii_case(&expected)
}
