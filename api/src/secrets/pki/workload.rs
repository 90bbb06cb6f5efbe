//! What a mesh asks of a mount: certificates for its workloads, one for the listener that serves
//! them, and whether a certificate that somebody shows is one of these.

use std::sync::Arc;

use der::Decode as _;
use der::oid::ObjectIdentifier;
use signet_pki::cert::Certificate;
use signet_pki::csr::Csr;
use signet_pki::issuer::Issuer;
use signet_pki::key::{Curve, KeyFormat, KeyKind};
use signet_pki::oid;
use signet_pki::role::{KeyType, Role};
use signet_pki::time::{UnixTime, Validity};
use signet_pki::vet::{
    self, CsrMode, IssuerFacts, LeafNotAfterBehavior, LeafRequest, MountLifetimes, Refusal,
    Surroundings, WorkloadLifetimes, WorkloadRequest,
};
use signet_storage::Batch;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::secrets::pki::Pki;
use crate::secrets::pki::state::{IssuerState, State};
use crate::time::Timestamp;

/// What it takes to issue for a mesh.
#[derive(Debug)]
pub(crate) struct Ready {
    role: Arc<Role>,
    role_name: String,
    state: Arc<State>,
    issuer: Arc<IssuerState>,
    signer: Arc<Issuer>,
}

/// What one workload is to get.
#[derive(Debug)]
pub(crate) struct WorkloadOrder<'a> {
    pub(crate) csr: &'a str,
    /// A SPIFFE ID that the caller proved.
    pub(crate) identity: &'a str,
    pub(crate) csr_mode: CsrMode,
    /// 0 and less mean the default.
    pub(crate) asked_secs: i64,
    /// Before the maximum of role and mount.
    pub(crate) lifetimes: WorkloadLifetimes,
    /// Which part of its lifetime the certificate is to lose, in thousandths.
    pub(crate) shorten_permille: u64,
}

/// A certificate on disk.
#[derive(Debug)]
pub(crate) struct IssuedWorkload {
    /// PEM, each ending in one newline: the certificate, each intermediate, all roots in one.
    pub(crate) chain: Vec<String>,
    /// With colons.
    pub(crate) serial: String,
    pub(crate) validity: Validity,
    /// Of the `SubjectPublicKeyInfo`, hexadecimal SHA-256.
    pub(crate) key_sha256: String,
}

/// Why a workload gets no certificate.
#[derive(Debug)]
pub(crate) enum WorkloadError {
    /// At the caller's side.
    Refused(Refusal),
    /// At ours.
    Failed(ApiError),
}

impl From<ApiError> for WorkloadError {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// The pair of a TLS listener.
#[derive(Debug)]
pub(crate) struct ServingPair {
    /// DER, the certificate first, no root.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The certificate.
    pub(crate) pem: String,
    /// With colons.
    pub(crate) serial: String,
    /// PKCS #8.
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) validity: Validity,
}

impl Pki {
    /// Whether workloads can be served now.
    ///
    /// # Errors
    /// The outer ones are ours; the inner one says what is missing.
    pub(crate) async fn ready(
        &self,
        role_name: &str,
        now: Timestamp,
    ) -> Result<Result<Ready, String>, ApiError> {
        let Some(role) = self.state.role(role_name).await? else {
            return Ok(Err(format!("role {role_name} does not exist")));
        };
        if role.generate_lease {
            return Ok(Err(format!(
                "role {role_name} has generate_lease set, but leases belong to tokens"
            )));
        }
        let state = self.state.state().await?;
        let (issuer, signer) = match Self::signing_issuer(&state, &role.issuer_ref) {
            Ok((issuer, signer)) => (issuer.clone(), signer.clone()),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let id = &issuer.record.id;
        if issuer.certificate.validity().not_after.0 <= now.secs() {
            return Ok(Err(format!("issuer {id} has expired")));
        }
        // Whoever trusts an intermediate only is refused by some TLS libraries.
        if !issuer.chain.iter().any(|link| state.roots().holds(link)) {
            return Ok(Err(format!(
                "the chain of issuer {id} does not end in a self-signed root of the mount"
            )));
        }
        Ok(Ok(Ready {
            role,
            role_name: role_name.to_owned(),
            issuer,
            signer,
            state,
        }))
    }

    /// Signs and stores a workload's certificate.
    pub(crate) async fn issue_workload(
        &self,
        ready: &Ready,
        order: &WorkloadOrder<'_>,
        now: Timestamp,
    ) -> Result<IssuedWorkload, WorkloadError> {
        let csr = Csr::parse_pem(order.csr)
            .map_err(|error| WorkloadError::Refused(Refusal::Csr(error)))?;
        let lifetimes = self.workload_lifetimes(&ready.role, order.lifetimes);
        let request = WorkloadRequest {
            role: &ready.role,
            identities: &[order.identity.to_owned()],
            csr_mode: order.csr_mode,
            asked_secs: shortened(order.asked_secs, lifetimes, order.shorten_permille),
            lifetimes,
        };
        let key_sha256 = csr
            .public_key()
            .map(|key| {
                let spki = key.spki_der();
                hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki))
            })
            .unwrap_or_default();
        let issuer_end = ready.issuer.certificate.validity().not_after;
        let (vetted, _clamped) = vet::vet_workload(csr, &request, issuer_end, UnixTime(now.secs()))
            .map_err(WorkloadError::Refused)?;
        let certificate = self.sign(vetted, &ready.signer, now).await?;
        self.store(ready, &certificate).await?;
        Ok(IssuedWorkload {
            chain: ready.answer(&certificate),
            serial: certificate.serial().to_colon_hex(),
            validity: certificate.validity(),
            key_sha256,
        })
    }

    /// Issues the pair of the listener itself. The operator's file says which names it has; the
    /// role, which is for workloads, is not asked.
    pub(crate) async fn issue_serving(
        &self,
        ready: &Ready,
        names: &[String],
        ttl_secs: u64,
        now: Timestamp,
    ) -> Result<ServingPair, ApiError> {
        let (ips, dns): (Vec<_>, Vec<_>) = names
            .iter()
            .cloned()
            .partition(|name| name.parse::<std::net::IpAddr>().is_ok());
        let rules = Role {
            allow_any_name: true,
            require_cn: false,
            server_flag: true,
            client_flag: false,
            key_type: KeyType::Ec,
            key_bits: 256,
            ..Role::default()
        };
        let request = LeafRequest {
            alt_names: dns.join(","),
            ip_sans: ips,
            ttl_secs,
            ..LeafRequest::default()
        };
        let surroundings = Surroundings {
            now: UnixTime(now.secs()),
            mount: self.mount_lifetimes(),
            issuer: IssuerFacts {
                not_after: ready.issuer.certificate.validity().not_after,
                leaf_not_after: LeafNotAfterBehavior::Truncate,
                path_len: ready.issuer.certificate.path_len(),
            },
            identity: &|_expression| None,
        };
        let (approved, _warnings) = vet::vet_issue(&rules, &request, &surroundings)
            .map_err(|refusal| ApiError::bad_request(refusal.to_string()))?;
        let key = self.generate_key(KeyKind::Ec(Curve::P256)).await?;
        let vetted = approved.with_key(key.public_key().clone());
        let certificate = self.sign(vetted, &ready.signer, now).await?;
        let mut batch = Batch::default();
        // Under no role: it is nobody's to show as a workload's.
        self.put_certificate(&mut batch, ready.issuer_id(), "", &certificate);
        self.env.view.commit(batch).await?;
        let validity = certificate.validity();
        let (pem, serial) = (certificate.to_pem(), certificate.serial().to_colon_hex());
        let intermediates = ready.intermediates().map(|link| link.der.clone());
        Ok(ServingPair {
            chain: std::iter::once(certificate.into_der())
                .chain(intermediates)
                .collect(),
            pem,
            serial,
            key: key.to_der(KeyFormat::Pkcs8).map_err(ApiError::internal)?,
            validity,
        })
    }

    /// The URIs of a certificate whose private key the caller holds.
    ///
    /// # Errors
    /// The outer ones are ours; the inner one says why it does not count here.
    pub(crate) async fn workload_of(
        &self,
        ready: &Ready,
        der: &[u8],
        now: Timestamp,
    ) -> Result<Result<Vec<String>, String>, ApiError> {
        let refused = |reason: &str| Ok(Err(reason.to_owned()));
        let Ok(certificate) = Certificate::parse_der(der.to_vec()) else {
            return refused("the client certificate cannot be read");
        };
        let Some(record) = self.certificate(certificate.serial()).await? else {
            return refused("the client certificate is not one of the mount");
        };
        if record.der != der {
            return refused("the client certificate is not one of the mount");
        }
        if record.role != ready.role_name {
            return refused("the client certificate was issued under another role");
        }
        let validity = certificate.validity();
        if !(validity.not_before.0..=validity.not_after.0).contains(&now.secs()) {
            return refused("the client certificate is not valid now");
        }
        if self.revoked(certificate.serial()).await?.is_some() {
            return refused("the client certificate is revoked");
        }
        let issuer = ready
            .state
            .issuers
            .iter()
            .find(|issuer| issuer.record.id == record.issuer_id);
        match issuer {
            Some(issuer) if issuer.record.revoked_at.is_none() => {}
            _ => return refused("the issuer of the client certificate is gone or revoked"),
        }
        if !is_for_clients(&certificate) {
            return refused("the client certificate is not for clients");
        }
        let names = certificate
            .subject_alt_names()
            .map_err(ApiError::internal)?;
        Ok(Ok(names.uris))
    }

    async fn store(&self, ready: &Ready, certificate: &Certificate) -> Result<(), ApiError> {
        if ready.role.no_store {
            return Ok(());
        }
        let mut batch = Batch::default();
        self.put_certificate(&mut batch, ready.issuer_id(), &ready.role_name, certificate);
        self.env.view.commit(batch).await?;
        Ok(())
    }

    fn workload_lifetimes(&self, role: &Role, configured: WorkloadLifetimes) -> WorkloadLifetimes {
        let mount_max = self.env.settings.max_ttl_secs();
        let role_max = match role.max_ttl_secs {
            0 => mount_max,
            secs => secs.min(mount_max),
        };
        WorkloadLifetimes {
            max_secs: configured.max_secs.min(role_max),
            ..configured
        }
    }

    fn mount_lifetimes(&self) -> MountLifetimes {
        MountLifetimes {
            default_ttl_secs: self.env.settings.default_ttl_secs(),
            max_ttl_secs: self.env.settings.max_ttl_secs(),
        }
    }
}

impl Ready {
    pub(crate) fn issuer_id(&self) -> &str {
        &self.issuer.record.id
    }

    /// When the authority's certificate ends.
    pub(crate) fn issuer_end(&self) -> UnixTime {
        self.issuer.certificate.validity().not_after
    }

    /// When the first of the roots ends.
    pub(crate) fn first_root_end(&self) -> UnixTime {
        self.state.roots().first_end
    }

    /// All roots in one text.
    pub(crate) fn root_bundle(&self) -> &str {
        &self.state.roots().pem
    }

    fn answer(&self, certificate: &Certificate) -> Vec<String> {
        let mut chain = vec![certificate.to_pem()];
        chain.extend(self.intermediates().map(|link| link.pem.clone()));
        chain.push(self.root_bundle().to_owned());
        chain
    }

    fn intermediates(&self) -> impl Iterator<Item = &Arc<super::state::ChainLink>> {
        let roots = self.state.roots();
        let chain = self.issuer.chain.iter();
        chain.filter(move |link| !roots.holds(link))
    }
}

/// Whether its extended key usages, if there are any, let it authenticate clients.
fn is_for_clients(certificate: &Certificate) -> bool {
    certificate
        .extension_value(oid::EXT_KEY_USAGE)
        .is_none_or(|value| {
            ExtendedKeyUsage::from_der(value)
                .is_ok_and(|usages| usages.0.contains(&CLIENT_AUTHENTICATION))
        })
}

const CLIENT_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// What is to be asked for, so that certificates made together do not end together. What is above
/// the maximum and not to be clamped stays what it is, to be refused.
fn shortened(asked_secs: i64, lifetimes: WorkloadLifetimes, permille: u64) -> i64 {
    let asked = u64::try_from(asked_secs).ok().filter(|secs| *secs > 0);
    let wanted = asked.unwrap_or(lifetimes.default_secs);
    if permille == 0 || (wanted > lifetimes.max_secs && !lifetimes.clamp && asked.is_some()) {
        return asked_secs;
    }
    let full = wanted.min(lifetimes.max_secs);
    let lost = full.saturating_mul(permille.min(1000)) / 1000;
    i64::try_from(full.saturating_sub(lost).max(1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_lifetime_that_would_be_given_is_lost() {
        let lifetimes = WorkloadLifetimes {
            default_secs: 1000,
            max_secs: 2000,
            clamp: true,
        };
        for (asked, permille, expected) in [
            (500, 0, 500),
            (500, 50, 475),
            (0, 50, 950),
            (-7, 50, 950),
            (i64::MAX, 50, 1900),
            (1, 1000, 1),
        ] {
            assert_eq!(shortened(asked, lifetimes, permille), expected, "{asked}");
        }
        let strict = WorkloadLifetimes {
            clamp: false,
            ..lifetimes
        };
        assert_eq!(shortened(2001, strict, 50), 2001, "still to be refused");
    }
}
