//! The networks that a token may be used from.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::ApiError;

/// Reads addresses and networks in CIDR notation.
///
/// # Errors
/// `BadRequest` with the text clients know for the first entry that is neither.
pub fn parse_bound_cidrs<S: AsRef<str>>(entries: &[S]) -> Result<Vec<IpNet>, ApiError> {
    entries
        .iter()
        .map(|entry| entry.as_ref().trim())
        .map(|entry| {
            let address = entry.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| entry.parse()).map_err(|_| {
                ApiError::bad_request(format!(
                    "error parsing address {entry:?}: Unable to convert {entry:?} to an IPv4 or \
                     IPv6 address, or a UNIX Socket"
                ))
            })
        })
        .collect()
}

/// Networks as the API shows them: a single address without its prefix length.
#[must_use]
pub fn show_bound_cidrs(cidrs: &[IpNet]) -> Vec<String> {
    let show = |cidr: &IpNet| {
        if cidr.prefix_len() == cidr.max_prefix_len() {
            cidr.addr().to_string()
        } else {
            cidr.to_string()
        }
    };
    cidrs.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_networks_and_shows_addresses_bare() {
        let entries = [
            "10.0.0.1",
            "10.1.2.3/8",
            " 10.0.0.0/8",
            "127.0.0.1/32",
            "::1",
            "fd00::/8",
        ];
        let shown = show_bound_cidrs(&parse_bound_cidrs(&entries).unwrap());
        assert_eq!(
            shown,
            [
                "10.0.0.1",
                "10.1.2.3/8",
                "10.0.0.0/8",
                "127.0.0.1",
                "::1",
                "fd00::/8"
            ]
        );
        for bad in ["bad", "", "10.0.0.0/33"] {
            let error = parse_bound_cidrs(&["::1", bad]).unwrap_err();
            let text = format!(
                "error parsing address {bad:?}: Unable to convert {bad:?} to an IPv4 or IPv6 \
                 address, or a UNIX Socket"
            );
            assert_eq!(error.to_string(), text);
        }
    }
}
