//! What a `TokenReview` says of a token, read strictly.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A service account that its API server vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    pub namespace: String,
    pub service_account: String,
    /// Of the service account; another one of the same name has another.
    pub uid: String,
    pub groups: Vec<String>,
    /// Those among the asked ones that the token is for; of the API server if none was asked.
    pub audiences: Vec<String>,
    /// The pod that a token is bound to.
    pub pod: Option<ObjectName>,
    /// The node of that pod, as far as the API server tells.
    pub node: Option<ObjectName>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectName {
    pub name: String,
    /// Empty where the API server does not tell.
    pub uid: String,
}

/// `authentication.k8s.io/v1`, `TokenReview`.
#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    groups: Option<Vec<String>>,
    #[serde(default)]
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// What stands in the way of a [`Reviewed`].
pub(super) enum Verdict {
    /// The API server refuses the token, or it belongs to no service account, or it is not for
    /// these audiences.
    Refused(String),
    /// The answer is no `TokenReview`.
    Unreadable(String),
}

impl Reviewed {
    /// Reads the answer of the API server to a question for `audiences`.
    pub(super) fn read(json: &[u8], asked: &[String]) -> Result<Self, Verdict> {
        let review: Review = serde_json::from_slice(json)
            .map_err(|error| Verdict::Unreadable(format!("answer to TokenReview: {error}")))?;
        let status = review.status;
        if !status.authenticated || !status.error.is_empty() {
            return Err(Verdict::Refused(if status.error.is_empty() {
                "not authenticated".into()
            } else {
                status.error
            }));
        }
        let user = status.user;
        let (namespace, service_account) = service_account(&user.username)
            .ok_or_else(|| Verdict::Refused("not the token of a service account".into()))?;
        let audiences = status.audiences.unwrap_or_default();
        // An API server that does not know of audiences returns none.
        if !asked.is_empty() && !asked.iter().any(|one| audiences.contains(one)) {
            return Err(Verdict::Refused("not for this audience".into()));
        }
        let extra = user.extra.unwrap_or_default();
        Ok(Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            audiences,
            pod: object(&extra, "pod"),
            node: object(&extra, "node"),
        })
    }
}

/// `system:serviceaccount:<namespace>:<name>`, exactly, as (namespace, name).
fn service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    let is_plain = |part: &str| !part.is_empty() && !part.contains(':');
    (is_plain(namespace) && is_plain(name)).then_some((namespace, name))
}

fn object(extra: &BTreeMap<String, Vec<String>>, kind: &str) -> Option<ObjectName> {
    let only = |what: &str| {
        let values = extra.get(&format!("authentication.kubernetes.io/{kind}-{what}"))?;
        match values.as_slice() {
            [one] if !one.is_empty() => Some(one.clone()),
            _ => None,
        }
    };
    Some(ObjectName {
        name: only("name")?,
        uid: only("uid").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(status: &Value, asked: &[&str]) -> Result<Reviewed, String> {
        let asked: Vec<String> = asked.iter().map(|a| (*a).to_owned()).collect();
        Reviewed::read(json!({ "status": status }).to_string().as_bytes(), &asked).map_err(
            |verdict| match verdict {
                Verdict::Refused(text) | Verdict::Unreadable(text) => text,
            },
        )
    }

    fn good() -> Value {
        json!({
            "authenticated": true,
            "audiences": ["istio-ca"],
            "user": {
                "username": "system:serviceaccount:web:front",
                "uid": "u-1",
                "groups": ["system:serviceaccounts"],
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["front-1"],
                    "authentication.kubernetes.io/pod-uid": ["p-1"],
                    "authentication.kubernetes.io/node-name": ["node-a"],
                },
            },
        })
    }

    #[test]
    fn a_good_answer_names_account_pod_and_node() {
        let reviewed = read(&good(), &["other", "istio-ca"]).unwrap();
        assert_eq!(reviewed.namespace, "web");
        assert_eq!(reviewed.service_account, "front");
        let named = |name: &str, uid: &str| {
            let (name, uid) = (name.to_owned(), uid.to_owned());
            Some(ObjectName { name, uid })
        };
        assert_eq!(reviewed.pod, named("front-1", "p-1"));
        assert_eq!(reviewed.node, named("node-a", ""));
    }

    #[test]
    fn only_the_username_of_a_service_account_will_do() {
        for username in [
            "bob",
            "system:serviceaccount:web",
            "system:serviceaccount:web:",
            "system:serviceaccount::front",
            "system:serviceaccount:web:front:x",
            "System:serviceaccount:web:front",
            "x:system:serviceaccount:web:front",
        ] {
            let mut status = good();
            status["user"]["username"] = json!(username);
            let refused = read(&status, &[]).unwrap_err();
            assert_eq!(refused, "not the token of a service account", "{username}");
        }
    }

    #[test]
    fn an_api_server_that_confirms_no_audience_refuses() {
        for audiences in [json!(null), json!([]), json!(["other"])] {
            let mut status = good();
            status["audiences"] = audiences.clone();
            let refused = read(&status, &["istio-ca"]).unwrap_err();
            assert_eq!(refused, "not for this audience", "{audiences}");
            assert!(read(&status, &[]).is_ok());
        }
    }

    #[test]
    fn an_error_beside_authenticated_refuses() {
        for (field, value) in [("error", json!("expired")), ("authenticated", json!(false))] {
            let mut status = good();
            status[field] = value;
            assert!(read(&status, &[]).is_err(), "{field}");
        }
        assert!(read(&json!({}), &[]).is_err());
    }

    #[test]
    fn a_pod_that_is_named_twice_is_none() {
        let mut status = good();
        status["user"]["extra"]["authentication.kubernetes.io/pod-name"] = json!(["a", "b"]);
        assert_eq!(read(&status, &[]).unwrap().pod, None);
    }
}
