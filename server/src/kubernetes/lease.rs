//! Which one of several replicas acts: the one that holds a Lease, as Kubernetes' own controllers find it out.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::api::PostParams;
use kube::{Api, Client, Error};
use signet_api::time::Timestamp;
use tokio::time::Instant;

/// Others may take the Lease over when its holder has not renewed it for this long.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew the Lease for this long stops acting.
const RENEW_LIMIT: Duration = Duration::from_secs(10);
/// Between two attempts.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// An attempt must not keep a holder from noticing that its time is over.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// One replica in the election.
#[derive(Debug)]
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The version of the Lease when it last changed, and when this process saw that: the clocks of others do not count.
    seen: Option<(String, Instant)>,
    held_since_renewal: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    #[error(transparent)]
    Api(#[from] Error),
    #[error("the API server does not answer")]
    Timeout,
}

impl Candidate {
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            seen: None,
            held_since_renewal: None,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes or renews the Lease if it may. Whoever gets `true` may act until [`Self::is_over`] says no.
    pub(super) async fn try_hold(&mut self, now: Timestamp) -> Result<bool, LeaseError> {
        let started = Instant::now();
        let held = tokio::time::timeout(REQUEST_LIMIT, self.attempt(now))
            .await
            .map_err(|_elapsed| LeaseError::Timeout)??;
        self.held_since_renewal = held.then_some(started);
        Ok(held)
    }

    /// Has the Lease not been renewed for so long that another may have taken it?
    pub(super) fn is_over(&self) -> bool {
        self.held_since_renewal
            .is_none_or(|renewed| renewed.elapsed() >= RENEW_LIMIT)
    }

    /// Lets another replica have the Lease at once.
    pub(super) async fn release(&mut self, now: Timestamp) -> Result<(), LeaseError> {
        if self.held_since_renewal.take().is_none() {
            return Ok(());
        }
        tokio::time::timeout(REQUEST_LIMIT, self.give_up(now))
            .await
            .map_err(|_elapsed| LeaseError::Timeout)?
    }

    async fn attempt(&mut self, now: Timestamp) -> Result<bool, LeaseError> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.spec = Some(self.spec(&LeaseSpec::default(), now));
            let created = self.api.create(&PostParams::default(), &lease).await;
            return Self::outcome(created);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if !self.may_take(&spec, version) {
            return Ok(false);
        }
        // The version that was read makes it fail where another was faster.
        lease.spec = Some(self.spec(&spec, now));
        let replaced = self
            .api
            .replace(&self.name, &PostParams::default(), &lease)
            .await;
        Self::outcome(replaced)
    }

    fn may_take(&mut self, spec: &LeaseSpec, version: String) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match &self.seen {
            Some((seen, at)) if *seen == version => {
                let secs = spec.lease_duration_seconds.unwrap_or_default();
                let duration = Duration::from_secs(u64::try_from(secs).unwrap_or_default());
                at.elapsed() > duration
            }
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn outcome(written: Result<Lease, Error>) -> Result<bool, LeaseError> {
        match written {
            Ok(_lease) => Ok(true),
            Err(Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The Lease as this replica holds it, after it was as `before`.
    fn spec(&self, before: &LeaseSpec, now: Timestamp) -> LeaseSpec {
        let is_renewal = before.holder_identity.as_deref() == Some(self.identity.as_str());
        let now = micro_time(now);
        let transitions = before.lease_transitions.unwrap_or_default();
        let was_held = before.acquire_time.is_some();
        LeaseSpec {
            acquire_time: if is_renewal {
                before.acquire_time.clone()
            } else {
                now.clone()
            },
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(transitions.saturating_add(i32::from(!is_renewal && was_held))),
            renew_time: now,
            ..before.clone()
        }
    }

    async fn give_up(&self, now: Timestamp) -> Result<(), LeaseError> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()))
        else {
            return Ok(());
        };
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = micro_time(now);
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await?;
        Ok(())
    }
}

fn micro_time(now: Timestamp) -> Option<MicroTime> {
    jiff::Timestamp::from_second(now.secs()).ok().map(MicroTime)
}
