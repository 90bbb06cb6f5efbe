//! Address ranges of secret-ids, and whether one set lies within another.

use ipnet::IpNet;

use crate::error::ApiError;
use crate::params::CommaList;

/// Ranges in CIDR notation only. `of` names them in the error: `CIDR` or `token CIDR`.
pub(super) fn parse_ranges(given: &CommaList, of: &str) -> Result<Vec<IpNet>, ApiError> {
    let parse = |text: &String| {
        text.parse::<IpNet>().map_err(|_| {
            ApiError::bad_request(format!(
                "failed to validate {of} blocks: invalid CIDR address: {text}"
            ))
        })
    };
    given.0.iter().map(parse).collect()
}

/// As they were given.
pub(super) fn shown(ranges: &[IpNet]) -> Vec<String> {
    ranges.iter().map(IpNet::to_string).collect()
}

/// Refuses ranges of a secret-id that reach beyond those of its role. A role without ranges sets no
/// bound.
pub(super) fn check_within(role: &[IpNet], secret: &[IpNet]) -> Result<(), ApiError> {
    let within = |inner: &IpNet| role.iter().any(|outer| outer.contains(inner));
    if role.is_empty() || secret.iter().all(within) {
        return Ok(());
    }
    let list = |ranges: &[IpNet]| {
        let quoted: Vec<_> = shown(ranges).iter().map(|r| format!("{r:?}")).collect();
        quoted.join(" ")
    };
    Err(ApiError::bad_request(format!(
        "failed to verify subset relationship between CIDR blocks on the role [{}] and CIDR blocks \
         on the secret ID [{}]",
        list(role),
        list(secret)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CommaList {
        CommaList(text.split(',').map(str::to_owned).collect())
    }

    #[test]
    fn wants_true_cidr_notation_where_it_says_so() {
        for bad in ["127.0.0.1", "bad", "", "10.0.0.0/33"] {
            assert!(parse_ranges(&list(bad), "CIDR").is_err(), "{bad}");
        }
        assert_eq!(
            parse_ranges(&list("bad"), "token CIDR")
                .unwrap_err()
                .to_string(),
            "failed to validate token CIDR blocks: invalid CIDR address: bad"
        );
    }

    #[test]
    fn a_range_lies_within_when_one_of_the_role_covers_it() {
        let ranges = |text: &str| parse_ranges(&list(text), "CIDR").unwrap();
        let role = ranges("10.0.0.0/8,fd00::/16");
        assert!(check_within(&role, &ranges("10.1.0.0/16,fd00:1::/32")).is_ok());
        assert!(check_within(&role, &ranges("10.1.0.0/16,192.168.0.0/16")).is_err());
        assert!(check_within(&role, &ranges("10.0.0.0/7")).is_err());
        assert!(check_within(&[], &ranges("0.0.0.0/0")).is_ok());
        assert_eq!(
            check_within(&ranges("10.0.0.0/8"), &ranges("10.1.0.0/16,192.168.0.0/16"))
                .unwrap_err()
                .to_string(),
            "failed to verify subset relationship between CIDR blocks on the role [\"10.0.0.0/8\"] \
             and CIDR blocks on the secret ID [\"10.1.0.0/16\" \"192.168.0.0/16\"]"
        );
    }
}
