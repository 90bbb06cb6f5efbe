//! Where certificates are found by issuer, end of validity and name. Written and deleted in the same
//! commit as the certificate, so that the two never say different things; every entry is a key
//! without a value.
//!
//! ```text
//! cert-end/<issuer>/<end of validity><serial number>
//! cert-name/<keyed hash of a name>/<serial number>
//! ```
//!
//! Keys are in clear where the store lies, and names can be guessed: so their hash is keyed.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use signet_pki::cert::Certificate;
use signet_pki::dn::NameView;
use signet_pki::serial::SerialNumber;
use signet_storage::View;

/// Below it a folder for each issuer.
pub(super) const ENDS: &str = "cert-end/";
const NAMES: &str = "cert-name/";

/// Knows where the certificates of a mount are found.
pub(in crate::secrets::pki) struct Index {
    names: hmac::Key,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    pub(in crate::secrets::pki) fn new(view: &View) -> Self {
        let label = format!("certificate names of {}", view.prefix());
        let key = view.unsealed().derive_key(&label);
        Self {
            names: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()),
        }
    }

    /// All paths at which `certificate` is found.
    pub(super) fn paths(&self, issuer_id: &str, certificate: &Certificate) -> Vec<String> {
        let serial = hex::encode(certificate.serial().as_bytes());
        let end = end_key(certificate.validity().not_after.0);
        let mut paths = vec![format!("{}{end}{serial}", issuer_folder(issuer_id))];
        let names = names(certificate);
        let names = names.iter().take(MAX_NAMES);
        paths.extend(names.map(|name| format!("{}{serial}", self.name_folder(name))));
        paths
    }

    /// Where the certificates with a name are; the name in lower case. Others may be there too.
    pub(super) fn name_folder(&self, name: &str) -> String {
        let tag = hmac::sign(&self.names, name.as_bytes());
        let short = tag.as_ref().get(..NAME_HASH_BYTES).unwrap_or_default();
        format!("{NAMES}{}/", hex::encode(short))
    }
}

/// The common name and the subject alternative names, in lower case.
pub(super) fn names(certificate: &Certificate) -> BTreeSet<String> {
    let alternative = certificate.subject_alt_names().unwrap_or_default();
    let common = NameView::parse(certificate.subject_der())
        .unwrap_or_default()
        .common_name;
    let mut names: BTreeSet<String> = [&alternative.dns, &alternative.emails, &alternative.uris]
        .into_iter()
        .flatten()
        .map(|name| name.to_ascii_lowercase())
        .chain(alternative.ips.iter().map(ToString::to_string))
        .collect();
    names.insert(common.to_ascii_lowercase());
    names.remove("");
    names
}

/// Where the certificates of an issuer are, by the end of their validity.
pub(super) fn issuer_folder(issuer_id: &str) -> String {
    let digits = issuer_id.chars().filter(char::is_ascii_hexdigit);
    let short: String = digits.take(ISSUER_DIGITS).collect();
    format!("{ENDS}{}/", if short.is_empty() { "none" } else { &short })
}

/// A time in the order of keys.
pub(super) fn end_key(not_after_secs: i64) -> String {
    format!("{:0END_DIGITS$x}", not_after_secs.max(0))
}

/// Takes a key below an issuer's folder apart: the end of validity in seconds, the serial number.
pub(super) fn parse_end(key: &str) -> Option<(i64, SerialNumber)> {
    let (end, serial) = key.split_at_checked(END_DIGITS)?;
    Some((i64::from_str_radix(end, 16).ok()?, parse_serial(serial)?))
}

/// Takes a key below a name's folder apart.
pub(super) fn parse_serial(key: &str) -> Option<SerialNumber> {
    SerialNumber::from_magnitude(&hex::decode(key).ok()?).ok()
}

/// 64 random bits of an id tell a handful of issuers apart.
const ISSUER_DIGITS: usize = 16;
const NAME_HASH_BYTES: usize = 8;
/// Until the end of the year 9999, which means "never" (RFC 5280 §4.1.2.5).
const END_DIGITS: usize = 10;
/// Names by which one certificate is found: it must not cost a thousand keys.
const MAX_NAMES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_in_the_order_of_time_and_read_back() {
        let serial = SerialNumber::from_magnitude(&[1, 2, 0xff]).unwrap();
        let key = |secs: i64| format!("{}{}", end_key(secs), hex::encode(serial.as_bytes()));
        let ends = [0, 1, 255, 1_800_000_000, 4_294_967_296, 253_402_300_799];
        let keys: Vec<String> = ends.iter().map(|secs| key(*secs)).collect();
        assert!(keys.is_sorted());
        let read: Vec<_> = keys.iter().map(|key| parse_end(key).unwrap()).collect();
        assert_eq!(read, ends.map(|secs| (secs, serial)));
        assert_eq!(parse_end("12"), None);
        assert_eq!(parse_end("zzzzzzzzzz01"), None);
    }

    #[test]
    fn issuers_have_folders_of_their_own() {
        assert_eq!(
            issuer_folder("0cd8cea9-5781-86a5-03d6-736a57348dd0"),
            "cert-end/0cd8cea9578186a5/"
        );
        assert_eq!(issuer_folder(""), "cert-end/none/");
    }
}
