//! The URLs that certificates point to: what may be configured, and what becomes of the templates.

use signet_pki::issuer::AiaUrls;

use crate::error::ApiError;
use crate::params::CommaList;
use crate::secrets::pki::records::{AiaConfig, ClusterConfig, IssuerRecord};

/// The template that stands for the id of the issuer.
pub(super) const ISSUER_ID: &str = "{{issuer_id}}";
const CLUSTER_PATH: &str = "{{cluster_path}}";
const CLUSTER_AIA_PATH: &str = "{{cluster_aia_path}}";

/// What the answers say where a certificate has no URL.
pub(super) const NO_URLS: &str = "This mount hasn't configured any authority information access \
    (AIA) fields; this may make it harder for systems to find missing certificates in the chain or \
    to validate revocation status of certificates. Consider updating /config/urls or the newly \
    generated issuer with this information.";

/// The lists that a request gives.
#[derive(Debug)]
pub(super) struct GivenUrls {
    pub(super) issuing_certificates: Option<CommaList>,
    pub(super) crl_distribution_points: Option<CommaList>,
    pub(super) delta_crl_distribution_points: Option<CommaList>,
    pub(super) ocsp_servers: Option<CommaList>,
}

impl IssuerRecord {
    /// The URLs of the issuer's certificates: its own, or else those of the mount. Its delta CRLs
    /// alone are not enough to count as its own.
    pub(super) fn urls<'a>(&'a self, of_mount: &'a AiaConfig) -> &'a AiaConfig {
        match &self.aia {
            Some(own) if own.has_urls() => own,
            _ => of_mount,
        }
    }
}

impl AiaConfig {
    /// Takes over the lists that are given; the others stay.
    pub(super) fn change(&mut self, given: GivenUrls) {
        for (list, given) in [
            (&mut self.issuing_certificates, given.issuing_certificates),
            (
                &mut self.crl_distribution_points,
                given.crl_distribution_points,
            ),
            (
                &mut self.delta_crl_distribution_points,
                given.delta_crl_distribution_points,
            ),
            (&mut self.ocsp_servers, given.ocsp_servers),
        ] {
            if let Some(CommaList(urls)) = given {
                *list = urls;
            }
        }
    }

    /// Does it make a certificate point to anything but delta CRLs?
    pub(super) fn has_urls(&self) -> bool {
        !(self.issuing_certificates.is_empty()
            && self.crl_distribution_points.is_empty()
            && self.ocsp_servers.is_empty())
    }

    pub(super) fn any_contains(&self, template: &str) -> bool {
        let mut urls = self.lists().into_iter().flat_map(|(_, urls)| urls);
        urls.any(|url| url.contains(template))
    }

    /// Refuses what is no URL. Where templates are allowed, what they give may still be none; see
    /// [`Self::warning`].
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.enable_templating {
            return Ok(());
        }
        for (parameter, urls) in self.lists() {
            let wrong = |url: &&String| !is_url(url) || has_template(url);
            if let Some(url) = urls.iter().find(wrong) {
                return Err(ApiError::bad_request(format!(
                    "invalid URL found in Authority Information Access (AIA) parameter \
                     {parameter}: {url}"
                )));
            }
        }
        Ok(())
    }

    /// What speaks against issuing with these URLs as things are.
    pub(super) fn warning(&self, issuer_id: &str, cluster: &ClusterConfig) -> Option<String> {
        let detail = self.resolve(issuer_id, cluster).err()?;
        Some(format!(
            "issuance may fail: {detail}\n\nConsider setting the cluster-local address if it is \
             not already set."
        ))
    }

    /// The URLs with their templates filled in; the error is the API's text.
    pub(super) fn resolve(
        &self,
        issuer_id: &str,
        cluster: &ClusterConfig,
    ) -> Result<AiaUrls, String> {
        let fill = |(parameter, urls): (&str, &Vec<String>)| {
            urls.iter()
                .map(|url| self.fill(parameter, url, issuer_id, cluster))
                .collect::<Result<Vec<_>, _>>()
        };
        let [issuing, crls, delta_crls, ocsp] = self.lists();
        Ok(AiaUrls {
            issuing_certificates: fill(issuing)?,
            crl_distribution_points: fill(crls)?,
            delta_crl_distribution_points: fill(delta_crls)?,
            ocsp_servers: fill(ocsp)?,
        })
    }

    fn fill(
        &self,
        parameter: &str,
        url: &str,
        issuer_id: &str,
        cluster: &ClusterConfig,
    ) -> Result<String, String> {
        if !self.enable_templating {
            return Ok(url.to_owned());
        }
        let mut filled = url.replace(ISSUER_ID, issuer_id);
        for (template, value, name) in [
            (CLUSTER_PATH, &cluster.path, "path"),
            (CLUSTER_AIA_PATH, &cluster.aia_path, "aia_path"),
        ] {
            if filled.contains(template) && value.is_empty() {
                return Err(format!(
                    "unable to template AIA URLs as we lack local cluster address information \
                     ({name})"
                ));
            }
            filled = filled.replace(template, value);
        }
        if !is_url(&filled) {
            return Err(format!(
                "error validating templated {parameter}; invalid URI: {filled}"
            ));
        }
        Ok(filled)
    }

    /// Each with the name of its parameter.
    pub(super) fn lists(&self) -> [(&'static str, &Vec<String>); 4] {
        [
            ("issuing_certificates", &self.issuing_certificates),
            ("crl_distribution_points", &self.crl_distribution_points),
            (
                "delta_crl_distribution_points",
                &self.delta_crl_distribution_points,
            ),
            ("ocsp_servers", &self.ocsp_servers),
        ]
    }
}

fn has_template(url: &str) -> bool {
    [ISSUER_ID, CLUSTER_PATH, CLUSTER_AIA_PATH]
        .iter()
        .any(|template| url.contains(template))
}

/// An absolute URI with an authority (RFC 3986 §3), in the characters that a certificate can hold.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((authority, path)) = rest.split_at_checked(host_end) else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(scheme_byte)
        && text.bytes().all(|b| b.is_ascii() && !b.is_ascii_control())
        && is_authority(authority)
        && escapes_are_whole(path)
}

/// `user@host:port`, the first and the last part optional.
fn is_authority(text: &str) -> bool {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    // An address in brackets has colons of its own.
    let (name, after) = if let Some((address, after)) = host.split_once(']') {
        (address.strip_prefix('['), after)
    } else {
        let end = host.find(':').unwrap_or(host.len());
        (host.get(..end), host.get(end..).unwrap_or_default())
    };
    let port_is_number = after.is_empty()
        || after
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let bad = |b: u8| {
        matches!(
            b,
            b' ' | b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'}'
        )
    };
    port_is_number
        && name.is_some_and(|name| !name.is_empty() && !name.bytes().any(bad))
        && !text.contains(' ')
}

/// Is each `%` followed by two hexadecimal digits?
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_need_scheme_and_host() {
        for good in [
            "http://h",
            "HTTP://h",
            "ldap://h/cn=x",
            "ftp://x/y",
            "ht-tp://h",
            "http://x/a b",
            "http://x:99999/",
            "http://[::1]:80/x",
            "http://user:pw@h/x",
            "http://h/?q={a}",
            "http://h#f",
            "http://h/%20",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "foo",
            "//x",
            "ldap:///x",
            "file:///x",
            "http:///x",
            "http://?x",
            "http://a b/",
            "http://x:abc/",
            "1http://h/",
            "mailto:x@y",
            "http:opaque",
            "http://h/%zz",
            "http://h/%2",
            "http://h/\u{7}",
            "http://h/ü",
            "http://[::1/",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn templates_are_filled_where_they_are_allowed() {
        let cluster = ClusterConfig {
            path: "https://a/v1/pki".into(),
            aia_path: String::new(),
        };
        let mut config = AiaConfig {
            issuing_certificates: vec!["{{cluster_path}}/issuer/{{issuer_id}}/der".into()],
            ..AiaConfig::default()
        };
        assert!(config.check().is_err());
        config.enable_templating = true;
        assert!(config.check().is_ok());
        assert_eq!(
            config.resolve("id", &cluster).unwrap().issuing_certificates,
            ["https://a/v1/pki/issuer/id/der"]
        );
        config.ocsp_servers = vec!["{{cluster_aia_path}}/ocsp".into()];
        let warning = config.warning("id", &cluster).unwrap();
        assert!(warning.contains("(aia_path)"), "{warning}");
        config.ocsp_servers = vec!["ocsp/{{issuer_id}}".into()];
        assert_eq!(
            config.resolve("id", &cluster).unwrap_err(),
            "error validating templated ocsp_servers; invalid URI: ocsp/id"
        );
    }

    #[test]
    fn delta_crls_alone_leave_the_urls_to_the_mount() {
        let mount = AiaConfig {
            ocsp_servers: vec!["http://mount".into()],
            ..AiaConfig::default()
        };
        assert!(mount.has_urls());
        let delta = AiaConfig {
            delta_crl_distribution_points: vec!["http://delta".into()],
            enable_templating: true,
            ..AiaConfig::default()
        };
        assert!(!delta.has_urls());
    }
}
