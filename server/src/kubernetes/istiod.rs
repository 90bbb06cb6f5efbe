//! What istiod's serving certificate says.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// For which istiod the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IstiodNames {
    /// Where istiod runs.
    pub(crate) namespace: String,
    /// `default` is the one without a revision in its name.
    pub(crate) revisions: Vec<String>,
    pub(crate) further_dns_names: Vec<String>,
    pub(crate) trust_domain: String,
}

impl IstiodNames {
    /// The name without a revision, whatever the revisions are.
    pub(crate) fn common_name(&self) -> String {
        format!("istiod.{}.svc", self.namespace)
    }

    /// A name for each revision, then the further ones, each once.
    pub(crate) fn dns_names(&self) -> Vec<String> {
        let of_revisions = self
            .revisions
            .iter()
            .map(|revision| match revision.as_str() {
                "default" => self.common_name(),
                other => format!("istiod-{other}.{}.svc", self.namespace),
            });
        let mut names: Vec<String> = Vec::new();
        for name in of_revisions.chain(self.further_dns_names.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The identity of istiod in the mesh.
    pub(crate) fn uri(&self) -> String {
        format!(
            "spiffe://{}/ns/{}/sa/istiod-service-account",
            self.trust_domain, self.namespace
        )
    }

    /// The fields of a request to `issue`. The chain comes without its root, which clients have already.
    pub(crate) fn request(&self, ttl: Option<Duration>) -> Map<String, Value> {
        let mut fields = json!({
            "common_name": self.common_name(),
            "alt_names": self.dns_names().join(","),
            "uri_sans": self.uri(),
            "exclude_cn_from_sans": true,
            "remove_roots_from_chain": true,
            "private_key_format": "pkcs8",
        });
        match (fields.as_object_mut(), ttl) {
            (Some(fields), Some(ttl)) => {
                fields.insert("ttl".into(), format!("{}s", ttl.as_secs()).into());
                std::mem::take(fields)
            }
            (Some(fields), None) => std::mem::take(fields),
            (None, _) => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_revision_and_its_identity() {
        let names = IstiodNames {
            namespace: "istio-system".into(),
            revisions: vec!["basic".into(), "default".into(), "basic".into()],
            further_dns_names: vec!["istiod-remote.istio-system.svc".into()],
            trust_domain: "mesh.example".into(),
        };
        assert_eq!(names.common_name(), "istiod.istio-system.svc");
        assert_eq!(
            names.dns_names(),
            [
                "istiod-basic.istio-system.svc",
                "istiod.istio-system.svc",
                "istiod-remote.istio-system.svc"
            ]
        );
        let request = names.request(Some(Duration::from_hours(1)));
        assert_eq!(request["ttl"], "3600s");
        assert_eq!(
            request["uri_sans"],
            "spiffe://mesh.example/ns/istio-system/sa/istiod-service-account"
        );
        assert!(!names.request(None).contains_key("ttl"));
    }
}
