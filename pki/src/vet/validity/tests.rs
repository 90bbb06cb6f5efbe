use proptest::prelude::*;

use super::*;
use crate::vet::tests::{ISSUER, MOUNT, NOW};

const HOUR: u64 = 3600;

fn rules() -> ValidityRules<'static> {
    ValidityRules::permissive(30)
}

const NOTHING: ValidityRequest<'static> = ValidityRequest {
    ttl_secs: 0,
    not_before: "",
    not_after: None,
};

fn issue(
    rules: &ValidityRules<'_>,
    request: ValidityRequest<'_>,
) -> Result<(Validity, Option<Warning>), Refusal> {
    let issuer = Some((ISSUER.not_after, ISSUER.leaf_not_after));
    decide(rules, request, Purpose::Issue, NOW, MOUNT, issuer)
}

fn sentence(rules: &ValidityRules<'_>, request: ValidityRequest<'_>) -> String {
    issue(rules, request).unwrap_err().to_string()
}

fn ends(rules: &ValidityRules<'_>, request: ValidityRequest<'_>) -> (u64, Option<String>) {
    let (validity, warning) = issue(rules, request).unwrap();
    let secs = u64::try_from(validity.not_after.0 - NOW.0).unwrap();
    (secs, warning.map(|warning| warning.to_string()))
}

fn ttl(ttl_secs: u64) -> ValidityRequest<'static> {
    ValidityRequest {
        ttl_secs,
        ..NOTHING
    }
}

fn from(not_before: &str) -> ValidityRequest<'_> {
    ValidityRequest {
        not_before,
        ..NOTHING
    }
}

fn until(not_after: &str) -> ValidityRequest<'_> {
    ValidityRequest {
        not_after: Some(not_after),
        ..NOTHING
    }
}

#[test]
fn lifetimes_come_from_request_role_and_mount_in_this_order() {
    assert_eq!(ends(&rules(), NOTHING), (768 * HOUR, None));
    let role = ValidityRules {
        ttl_secs: 5 * HOUR,
        ..rules()
    };
    assert_eq!(ends(&role, NOTHING), (5 * HOUR, None));
    assert_eq!(ends(&role, ttl(9 * HOUR)), (9 * HOUR, None));
    let above_mount = ValidityRules {
        ttl_secs: 90_000 * HOUR,
        max_ttl_secs: 100_000 * HOUR,
        ..rules()
    };
    let no_issuer = decide(&above_mount, NOTHING, Purpose::Issue, NOW, MOUNT, None).unwrap();
    assert_eq!(no_issuer.0.not_after, after(NOW, 90_000 * HOUR));
    assert_eq!(no_issuer.1, None);
}

#[test]
fn what_is_too_long_is_shortened_with_a_warning() {
    let role = |hours: u64| ValidityRules {
        max_ttl_secs: hours * HOUR,
        ..rules()
    };
    let warning = |ttl: &str, max: &str| {
        Some(format!(
            "TTL \"{ttl}\" is longer than permitted maxTTL \"{max}\", so maxTTL is being used"
        ))
    };
    assert_eq!(
        ends(&role(4), ttl(9 * HOUR)),
        (4 * HOUR, warning("9h0m0s", "4h0m0s"))
    );
    assert_eq!(
        ends(&role(4), ttl(90_061)),
        (4 * HOUR, warning("25h1m1s", "4h0m0s"))
    );
    assert_eq!(
        ends(&role(72), NOTHING),
        (72 * HOUR, warning("768h0m0s", "72h0m0s"))
    );
}

#[test]
fn the_beginning_is_thirty_seconds_or_the_roles_duration_ago() {
    for (duration, age) in [(0, 30), (30, 30), (7200, 7200)] {
        let (validity, _) = issue(&ValidityRules::permissive(duration), NOTHING).unwrap();
        assert_eq!(validity.not_before, before(NOW, age));
    }
}

#[test]
fn a_beginning_is_followed_by_issue_and_only_judged_by_sign() {
    let asked = from("2020-01-01T00:00:00Z");
    let fixed = ValidityRules {
        not_before: "2021-01-01T00:00:00Z",
        not_before_bound: NotBeforeBound::Forbid,
        ..rules()
    };
    let issued = |rules: &ValidityRules<'_>, request| issue(rules, request).unwrap().0.not_before;
    assert_eq!(issued(&rules(), asked), UnixTime(1_577_836_800));
    assert_eq!(issued(&fixed, from("foo")), UnixTime(1_609_459_200));
    let signed = |request| decide(&rules(), request, Purpose::Sign, NOW, MOUNT, None);
    let (validity, _) = signed(asked).unwrap();
    assert_eq!(validity.not_before, before(NOW, 30));
    assert!(signed(from("foo")).is_err());
}

#[test]
fn bounds_on_the_beginning_are_kept() {
    let bound = |not_before_bound, not_before_duration_secs| ValidityRules {
        not_before_bound,
        ..ValidityRules::permissive(not_before_duration_secs)
    };
    let old = from("2020-01-01T00:00:00+02:00");
    assert_eq!(
        sentence(&bound(NotBeforeBound::Duration, 3600), old),
        "not_before_bound is set to duration. Cannot satisfy request as it would result in \
         notBefore of 2019-12-31T22:00:00Z that is older than the allowed not_before_duration of \
         1h0m0s"
    );
    assert!(
        sentence(&bound(NotBeforeBound::Duration, 0), old).ends_with("not_before_duration of 0s")
    );
    assert!(
        issue(
            &bound(NotBeforeBound::Duration, 3600),
            from("2026-11-24T23:00:00Z")
        )
        .is_ok()
    );
    for text in ["2020-01-01T00:00:00Z", "foo"] {
        assert_eq!(
            sentence(&bound(NotBeforeBound::Forbid, 30), from(text)),
            "not_before_bound is set to forbid. not_before cannot be provided."
        );
    }
    let malformed = "parsing time \"foo\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"foo\" as \
                     \"2006\"";
    assert_eq!(sentence(&rules(), from("foo")), malformed);
    let fixed = ValidityRules {
        not_before: "foo",
        ..rules()
    };
    assert_eq!(sentence(&fixed, NOTHING), malformed);
}

#[test]
fn an_end_is_followed_and_never_shortened() {
    let role = ValidityRules {
        max_ttl_secs: 4 * HOUR,
        ttl_secs: 4 * HOUR,
        ..rules()
    };
    let (validity, warning) = issue(&role, until("2030-01-01T00:00:00.9+02:00")).unwrap();
    assert_eq!(
        (validity.not_after, warning),
        (UnixTime(1_893_448_800), None)
    );
    let fixed = ValidityRules {
        not_after: "2030-01-01T00:00:00Z",
        ..rules()
    };
    let (validity, _) = issue(&fixed, until("foo")).unwrap();
    assert_eq!(validity.not_after, UnixTime(1_893_456_000));
    let device = decide(
        &rules(),
        until("9999-12-31T23:59:59Z"),
        Purpose::Issue,
        NOW,
        MOUNT,
        None,
    );
    assert_eq!(device.unwrap().0.not_after, UnixTime::MAX);
}

#[test]
fn ends_are_refused_with_the_known_sentences() {
    let bound = |not_after_bound| ValidityRules {
        not_after_bound,
        ttl_secs: 5 * HOUR,
        ..rules()
    };
    let late = until("2030-01-01T00:00:00+02:00");
    let both = ValidityRequest {
        ttl_secs: 5 * HOUR,
        ..late
    };
    let fixed = ValidityRules {
        not_after: "2030-01-01T00:00:00Z",
        ..rules()
    };
    let exclusive = "Either ttl or not_after should be provided. Both should not be provided in the \
                     same request.";
    let latest = NotAfterBound::Until("2029-01-01T00:00:00+02:00".to_owned());
    let cases = [
        (
            sentence(&bound(&NotAfterBound::Forbid), until("foo")),
            "not_after_bound is set to forbid. not_after cannot be provided.",
        ),
        (
            sentence(&bound(&NotAfterBound::TtlLimited), late),
            "not_after_bound is set to ttl-limited. Cannot satisfy request as that would result in \
             notAfter of 2029-12-31T22:00:00Z that is beyond the TTL of 5h0m0s",
        ),
        (
            sentence(&bound(&latest), late),
            "not_after_bound is set to 2029-01-01T00:00:00+02:00. Cannot statisfy request as that \
             would result in notAfter of 2029-12-31T22:00:00Z that is beyond the maximum timestamp \
             of 2028-12-31T22:00:00Z",
        ),
        (sentence(&rules(), both), exclusive),
        (sentence(&fixed, ttl(5)), exclusive),
        (
            sentence(&rules(), until("")),
            "parsing time \"\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"2006\"",
        ),
        (
            sentence(&rules(), until("2099-01-01T00:00:00Z")),
            "cannot satisfy request, as TTL would result in notAfter of 2099-01-01T00:00:00Z that \
             is beyond the expiration of the CA certificate at 2036-01-10T08:00:00Z",
        ),
        (
            sentence(&rules(), until("2020-01-01T00:00:00Z")),
            "The certificate's Not Before (2026-11-24T23:59:30Z) is later than the certificate's \
             Not After (2020-01-01T00:00:00Z)",
        ),
        (
            sentence(&rules(), until("2026-11-24T23:59:30Z")),
            "The certificate's Not Before (2026-11-24T23:59:30Z) is equal to the certificate's Not \
             After (2026-11-24T23:59:30Z)",
        ),
    ];
    for (sentence, expected) in cases {
        assert_eq!(sentence, expected);
    }
    let signed = decide(
        &rules(),
        until("2020-01-01T00:00:00Z"),
        Purpose::Sign,
        NOW,
        MOUNT,
        None,
    );
    assert!(signed.is_ok(), "sign does not compare the two ends");
}

#[test]
fn the_issuer_decides_about_certificates_that_would_outlive_it() {
    use LeafNotAfterBehavior::{Err as Refuse, Permit, Truncate};
    let issuer_end = NOW.plus_secs(10);
    let at_end = |behavior, request| {
        decide(
            &rules(),
            request,
            Purpose::Issue,
            NOW,
            MOUNT,
            Some((issuer_end, behavior)),
        )
        .map(|(validity, _)| validity.not_after)
    };
    assert_eq!(at_end(Refuse, ttl(1)), Ok(NOW.plus_secs(1)));
    assert!(at_end(Refuse, NOTHING).is_err());
    assert_eq!(at_end(Permit, ttl(20)), Ok(NOW.plus_secs(20)));
    assert_eq!(at_end(Truncate, ttl(20)), Ok(issuer_end));
    let expired = Some((UnixTime(1_577_836_799), Truncate));
    let past = decide(
        &rules(),
        until("2020-01-01T00:00:00Z"),
        Purpose::Issue,
        NOW,
        MOUNT,
        expired,
    );
    assert_eq!(
        past.unwrap_err().to_string(),
        "cannot satisfy request, as NotAfter date 2020-01-01T00:00:00Z is in the past"
    );
}

#[test]
fn an_end_that_no_certificate_can_carry_is_refused() {
    let role = ValidityRules {
        max_ttl_secs: u64::MAX,
        ..rules()
    };
    let endless = decide(&role, ttl(u64::MAX), Purpose::Issue, NOW, MOUNT, None);
    assert_eq!(endless, Err(Refusal::NotAfterUnwritable));
}

proptest! {
    #[test]
    fn without_an_explicit_end_the_maximum_holds(
        asked in 0..200_000_000_u64,
        role_ttl in 0..200_000_000_u64,
        role_max in 0..200_000_000_u64,
    ) {
        let role = ValidityRules { ttl_secs: role_ttl, max_ttl_secs: role_max, ..rules() };
        let max = if role_max > 0 { role_max } else { MOUNT.max_ttl_secs };
        if let Ok((validity, warning)) = issue(&role, ttl(asked)) {
            let lifetime = u64::try_from(validity.not_after.0 - NOW.0).unwrap();
            prop_assert!(lifetime <= max && validity.not_after <= ISSUER.not_after);
            prop_assert_eq!(warning.is_some(), asked > max || asked == 0 && lifetime == max
                && (if role_ttl > 0 { role_ttl } else { MOUNT.default_ttl_secs }) > max);
        }
    }
}
