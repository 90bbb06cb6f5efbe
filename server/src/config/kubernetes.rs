//! The `kubernetes` block: what the server keeps in a cluster.

use std::path::PathBuf;
use std::time::Duration;

use super::section::{Report, Section};
use crate::kubernetes::IstiodNames;

/// What the server keeps in a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KubernetesSettings {
    /// The PKI mount whose roots are published, without a slash at its ends.
    pub(crate) mount: String,
    /// How to reach the API server; `None` for the cluster that the server runs in.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; its current one by default.
    pub(crate) context: Option<String>,
    /// A label selector; empty for all namespaces.
    pub(crate) namespace_selector: String,
    /// Of the Lease by which replicas find out which one of them acts.
    pub(crate) lease_namespace: String,
    pub(crate) lease_name: String,
    /// `None` leaves istiod's certificate to others.
    pub(crate) istiod: Option<IstiodSettings>,
}

/// istiod's serving certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IstiodSettings {
    /// A role of the mount, whose rules apply.
    pub(crate) role: String,
    pub(crate) secret_name: String,
    pub(crate) names: IstiodNames,
    /// `None` for what the role gives.
    pub(crate) ttl: Option<Duration>,
    /// Before the end of validity; `None` for half of the lifetime.
    pub(crate) renew_before: Option<Duration>,
}

/// The block, or nothing where there is none or it is wrong.
pub(super) fn read(file: &mut Section, report: &mut Report) -> Option<KubernetesSettings> {
    let mut section = file.block("kubernetes", report)?;
    let place = section.place.clone();
    let mount = section
        .filled_text("mount", report)
        .map(|mount| mount.trim_matches('/').to_owned());
    if mount.is_none() {
        report.error(&place, "kubernetes needs mount: the path of a PKI mount");
    }
    let kubeconfig = section.path("kubeconfig", report);
    let context_place = section.place_of("context");
    let context = section.filled_text("context", report);
    if context.is_some() && kubeconfig.is_none() {
        report.error(&context_place, "context needs kubeconfig");
    }
    let namespace_selector = section
        .filled_text("namespace_selector", report)
        .unwrap_or_default();
    let istiod = istiod(&mut section, report);
    let lease_namespace = section
        .filled_text("lease_namespace", report)
        .or_else(|| Some(istiod.as_ref()?.names.namespace.clone()))
        .unwrap_or_else(|| ISTIO_NAMESPACE.to_owned());
    let lease_name = section
        .filled_text("lease_name", report)
        .unwrap_or_else(|| "signet".to_owned());
    section.finish_strictly("kubernetes", report);
    Some(KubernetesSettings {
        mount: mount?,
        kubeconfig,
        context,
        namespace_selector,
        lease_namespace,
        lease_name,
        istiod,
    })
}

fn istiod(section: &mut Section, report: &mut Report) -> Option<IstiodSettings> {
    let mut block = section.block("istiod_certificate", report)?;
    let place = block.place.clone();
    let role = block.filled_text("role", report);
    if role.is_none() {
        report.error(&place, "istiod_certificate needs role: a role of the mount");
    }
    let text = |block: &mut Section, key, default: &str, report: &mut Report| {
        block
            .filled_text(key, report)
            .unwrap_or_else(|| default.to_owned())
    };
    let names = IstiodNames {
        namespace: text(&mut block, "namespace", ISTIO_NAMESPACE, report),
        revisions: block
            .list("revisions", report)
            .filter(|revisions| !revisions.is_empty())
            .unwrap_or_else(|| vec!["default".to_owned()]),
        further_dns_names: block.list("dns_names", report).unwrap_or_default(),
        trust_domain: text(&mut block, "trust_domain", "cluster.local", report),
    };
    let secret_name = text(&mut block, "secret", "istiod-tls", report);
    let ttl = block.duration("ttl", report).filter(|ttl| !ttl.is_zero());
    let renew_place = block.place_of("renew_before");
    let renew_before = block
        .duration("renew_before", report)
        .filter(|before| !before.is_zero());
    if let (Some(ttl), Some(before)) = (ttl, renew_before)
        && before >= ttl
    {
        report.error(&renew_place, "renew_before must be shorter than ttl");
    }
    block.finish_strictly("istiod_certificate", report);
    Some(IstiodSettings {
        role: role?,
        secret_name,
        names,
        ttl,
        renew_before,
    })
}

const ISTIO_NAMESPACE: &str = "istio-system";

#[cfg(test)]
mod tests {
    use super::super::section::Place;
    use super::*;

    fn read_text(text: &str) -> (Option<KubernetesSettings>, Report) {
        let place = Place {
            file: "c.hcl".into(),
            line: 1,
            column: 1,
        };
        let mut report = Report::default();
        let mut file = Section::new(place, signet_api::hcl::read(text).unwrap());
        let settings = read(&mut file, &mut report);
        (settings, report)
    }

    #[test]
    fn without_a_block_nothing_is_kept() {
        let (settings, report) = read_text("");
        assert_eq!(settings, None);
        assert_eq!(report.errors, Vec::<String>::new());
    }

    #[test]
    fn a_mount_is_enough() {
        let (settings, report) = read_text("kubernetes { mount = \"/pki_int_ca/\" }");
        assert_eq!(report.errors, Vec::<String>::new());
        let settings = settings.unwrap();
        assert_eq!(settings.mount, "pki_int_ca");
        assert_eq!(settings.namespace_selector, "");
        assert_eq!(settings.lease_namespace, "istio-system");
        assert_eq!(settings.lease_name, "signet");
        assert_eq!(settings.istiod, None);
    }

    #[test]
    fn every_key_counts() {
        let (settings, report) = read_text(
            r#"kubernetes {
              mount = "m" kubeconfig = "/k" context = "c" namespace_selector = "a=b" lease_name = "l"
              istiod_certificate {
                role = "r" namespace = "n" revisions = ["x", "default"] dns_names = "d, e" trust_domain = "t"
                secret = "s" ttl = "2h" renew_before = "30m"
              }
            }"#,
        );
        assert_eq!((report.errors, report.warnings), (Vec::new(), Vec::new()));
        let settings = settings.unwrap();
        assert_eq!(settings.kubeconfig, Some("/k".into()));
        assert_eq!(settings.context.as_deref(), Some("c"));
        assert_eq!(settings.namespace_selector, "a=b");
        assert_eq!(
            (
                settings.lease_namespace.as_str(),
                settings.lease_name.as_str()
            ),
            ("n", "l")
        );
        let istiod = settings.istiod.unwrap();
        assert_eq!(
            (istiod.role.as_str(), istiod.secret_name.as_str()),
            ("r", "s")
        );
        assert_eq!(
            istiod.names.dns_names(),
            ["istiod-x.n.svc", "istiod.n.svc", "d", "e"]
        );
        assert_eq!(
            istiod.names.uri(),
            "spiffe://t/ns/n/sa/istiod-service-account"
        );
        assert_eq!(istiod.ttl, Some(Duration::from_hours(2)));
        assert_eq!(istiod.renew_before, Some(Duration::from_mins(30)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, error) in [
            ("kubernetes {}", "kubernetes needs mount"),
            (
                "kubernetes { mount = \"m\" context = \"c\" }",
                "context needs kubeconfig",
            ),
            (
                "kubernetes { mount = \"m\" istiod_certificate {} }",
                "istiod_certificate needs role",
            ),
            (
                "kubernetes { mount = \"m\" istiod_certificate { role = \"r\" ttl = \"1h\" renew_before = \"1h\" } }",
                "renew_before must be shorter than ttl",
            ),
            (
                "kubernetes { mount = \"m\" bogus = 1 }",
                "kubernetes has no key bogus",
            ),
            (
                "kubernetes { mount = \"m\" istiod_certificate { role = \"r\" bogus = 1 } }",
                "istiod_certificate has no key bogus",
            ),
        ] {
            let (_, report) = read_text(text);
            assert!(
                report.errors.iter().any(|found| found.contains(error)),
                "{text}: {report:?}"
            );
        }
    }
}
