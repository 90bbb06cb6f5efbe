//! Looking at proofs, in the background.
//!
//! What is to be looked at stands in the store, sorted by when: so a restart loses nothing, and only
//! what is being looked at is in memory. A few are looked at at once; an attempt that failed is made
//! again after a while, and not for ever.

mod dns01;
mod http01;
mod tls_alpn01;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Expect, Record, StorageError, Stored, View};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};

use crate::error::ApiError;
use crate::secrets::pki::Pki;
use crate::secrets::pki::acme::problem::Kind;
use crate::secrets::pki::acme::records::{
    Account, Authorization, Challenge, ChallengeKind, Identifier, Status, account_path,
    authorization_path,
};
use crate::time::Timestamp;

/// Attempts at once.
const WORKERS: usize = 5;
/// With redirects and everything else.
const ATTEMPT: Duration = Duration::from_secs(30);
/// After the last one the challenge has failed.
const MAX_FAILURES: u32 = 7;
/// For each failure so far the next attempt comes later by this.
const STEP_SECS: u64 = 5;
/// How long a client need not prove again what it has proved.
const VALID_SECS: u64 = 15 * 24 * 3600;

const FOLDER: &str = "acme/validation/";

/// A place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    at: Timestamp,
    account: String,
    authorization: String,
}

/// What is to be looked at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    kind: ChallengeKind,
}

impl Record for Entry {
    const FORMAT: u8 = 1;
}

impl Due {
    pub(super) fn at(at: Timestamp, account: &str, authorization: &str) -> Self {
        Self {
            at,
            account: account.to_owned(),
            authorization: authorization.to_owned(),
        }
    }

    /// Sorts as the time does.
    fn key(&self) -> String {
        let nanos = self.at.0.max(0);
        format!("{nanos:020}/{}/{}", self.account, self.authorization)
    }

    fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let at = Timestamp(parts.next()?.parse().ok()?);
        Some(Self::at(at, parts.next()?, parts.next()?))
    }

    fn path(&self) -> String {
        format!("{FOLDER}{}", self.key())
    }

    pub(super) fn put(
        &self,
        view: &View,
        batch: &mut Batch,
        kind: ChallengeKind,
    ) -> Result<(), ApiError> {
        Ok(view.put_record(batch, &self.path(), &Entry { kind })?)
    }
}

/// The work on the queue of a mount.
#[derive(Debug, Default)]
pub(super) struct Validations {
    phase: Mutex<Phase>,
    woken: Notify,
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Phase {
    is_running: bool,
    /// Somebody asked since the queue was looked at last.
    is_asked: bool,
}

impl Validations {
    /// Looks at the queue now. To be called after something was put there, and now and then.
    pub(super) fn wake(self: &Arc<Self>, engine: &Pki) {
        {
            let mut phase = self.phase.lock();
            phase.is_asked = true;
            if phase.is_running {
                self.woken.notify_one();
                return;
            }
            phase.is_running = true;
        }
        let (validations, engine) = (self.clone(), engine.clone());
        tokio::spawn(async move { validations.run(&engine).await });
    }

    /// For good: the mount goes away. Attempts under way are dropped, and made again when it comes
    /// back.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.woken.notify_one();
    }

    async fn run(&self, engine: &Pki) {
        let mut attempts = Attempts::default();
        loop {
            self.phase.lock().is_asked = false;
            if self.is_stopped.load(Ordering::SeqCst) {
                break;
            }
            let next = match attempts.start_due(engine).await {
                Ok(next) => next,
                Err(error) => {
                    // The next tick tries again.
                    tracing::error!(%error, "ACME validations cannot be read");
                    break;
                }
            };
            if next.is_none() && attempts.running.is_empty() {
                let mut phase = self.phase.lock();
                if !phase.is_asked {
                    phase.is_running = false;
                    return;
                }
                continue;
            }
            tokio::select! {
                () = self.woken.notified() => {}
                Some(ended) = attempts.running.join_next_with_id() => attempts.ended(&ended),
                () = wait(next, engine.env.environment.clock.now()) => {}
            }
        }
        self.phase.lock().is_running = false;
    }
}

/// Until `next`, or for ever.
async fn wait(next: Option<Timestamp>, now: Timestamp) {
    match next {
        Some(next) => {
            let nanos = u64::try_from(next.0.saturating_sub(now.0)).unwrap_or(0);
            tokio::time::sleep(Duration::from_nanos(nanos).max(SHORTEST_WAIT)).await;
        }
        None => std::future::pending().await,
    }
}

const SHORTEST_WAIT: Duration = Duration::from_millis(20);

/// The attempts under way.
#[derive(Default)]
struct Attempts {
    running: JoinSet<()>,
    /// Keys in the queue, by task.
    keys: HashMap<Id, String>,
}

impl Attempts {
    /// Begins what is due, as far as there is room, and says when the next one is due that is not
    /// under way. `None`: when one of these ends, or there is nothing else.
    async fn start_due(&mut self, engine: &Pki) -> Result<Option<Timestamp>, StorageError> {
        let view = &engine.env.view;
        let now = engine.env.environment.clock.now();
        let page = view
            .scan_records::<Entry>(FOLDER, None, 2 * WORKERS + 1)
            .await?;
        let under_way: HashSet<String> = self.keys.values().cloned().collect();
        for (key, stored) in page {
            if under_way.contains(&key) {
                continue;
            }
            let Some(due) = Due::parse(&key) else {
                tracing::error!(key, "entry in the queue of ACME validations is damaged");
                let mut batch = Batch::default();
                view.delete(&mut batch, &format!("{FOLDER}{key}"));
                view.commit(batch).await?;
                continue;
            };
            if due.at > now {
                return Ok(Some(due.at));
            }
            if self.running.len() >= WORKERS {
                return Ok(None);
            }
            let engine = engine.clone();
            let task = self
                .running
                .spawn(async move { look(&engine, &due, stored.value.kind).await });
            self.keys.insert(task.id(), key);
        }
        Ok(None)
    }

    fn ended(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(%error, "ACME validation failed");
                error.id()
            }
        };
        self.keys.remove(&id);
    }
}

/// One attempt, and what follows from it.
async fn look(engine: &Pki, due: &Due, kind: ChallengeKind) {
    if let Err(error) = try_look(engine, due, kind).await {
        tracing::error!(%error, "ACME validation cannot be noted");
    }
}

async fn try_look(engine: &Pki, due: &Due, kind: ChallengeKind) -> Result<(), ApiError> {
    let view = &engine.env.view;
    let account = view.record::<Account>(&account_path(&due.account)).await?;
    let path = authorization_path(&due.account, &due.authorization);
    let found = view.record::<Authorization>(&path).await?;
    let challenge = found
        .as_ref()
        .and_then(|it| open_challenge(engine, it, kind));
    let account = account.filter(|account| account.value.status == Status::Valid);
    let (Some(account), Some(found), Some(challenge)) = (account, &found, challenge) else {
        // It was given up meanwhile.
        return note(engine, due, &path, kind, None).await;
    };
    let proof = Proof::new(&challenge, &account.value.thumbprint);
    let attempt = prove(engine, kind, &found.value.identifier, &proof);
    let outcome = match tokio::time::timeout(ATTEMPT, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("{}: no answer in time", kind.name())),
    };
    if let Err(reason) = &outcome {
        tracing::info!(
            name = %found.value.identifier.value, challenge = kind.name(), reason,
            "ACME validation did not succeed"
        );
    }
    note(engine, due, &path, kind, Some(outcome)).await
}

/// The challenge, if its proof is still asked for.
fn open_challenge(
    engine: &Pki,
    found: &Stored<Authorization>,
    kind: ChallengeKind,
) -> Option<Challenge> {
    let now = engine.env.environment.clock.now();
    let authorization = &found.value;
    let challenge = authorization.challenge(kind)?;
    let is_open =
        authorization.status_at(now) == Status::Pending && challenge.status == Status::Processing;
    is_open.then(|| challenge.clone())
}

/// What the client has to show.
struct Proof {
    token: String,
    /// RFC 8555 §8.1.
    key_authorization: String,
}

impl Proof {
    fn new(challenge: &Challenge, thumbprint: &str) -> Self {
        let token = challenge.token.clone();
        let key_authorization = format!("{token}.{thumbprint}");
        Self {
            token,
            key_authorization,
        }
    }

    fn digest(&self) -> aws_lc_rs::digest::Digest {
        let text = self.key_authorization.as_bytes();
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text)
    }
}

/// # Errors
/// Why nothing is proved, for the client.
async fn prove(
    engine: &Pki,
    kind: ChallengeKind,
    identifier: &Identifier,
    proof: &Proof,
) -> Result<(), String> {
    let state = engine
        .state
        .state()
        .await
        .map_err(|error| error.to_string())?;
    let resolver = state.acme.dns_resolver;
    let probe = engine.env.environment.probe.as_ref();
    let looked = match kind {
        ChallengeKind::Dns01 => dns01::look(probe, identifier, proof, resolver).await,
        ChallengeKind::Http01 => http01::look(probe, identifier, proof, resolver).await,
        ChallengeKind::TlsAlpn01 => tls_alpn01::look(probe, identifier, proof, resolver).await,
    };
    looked.map_err(|reason| format!("{}: {reason}", kind.name()))
}

/// Writes down how an attempt ended; `None`: there was none to be made.
async fn note(
    engine: &Pki,
    due: &Due,
    path: &str,
    kind: ChallengeKind,
    outcome: Option<Result<(), String>>,
) -> Result<(), ApiError> {
    let view = &engine.env.view;
    loop {
        let mut batch = Batch::default();
        view.delete(&mut batch, &due.path());
        // Read anew: the client may have given it up meanwhile.
        let found = view.record::<Authorization>(path).await?;
        if let (Some(outcome), Some(mut found)) = (&outcome, found)
            && open_challenge(engine, &found, kind).is_some()
        {
            view.expect(&mut batch, path, Expect::Version(found.version));
            let now = engine.env.environment.clock.now();
            let again = settle(&mut found.value, kind, outcome, now);
            view.put_record(&mut batch, path, &found.value)?;
            if let Some(at) = again {
                Due::at(at, &due.account, &due.authorization).put(view, &mut batch, kind)?;
            }
        }
        match view.commit(batch).await {
            Err(StorageError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// What an attempt makes of an authorization, and when to look again.
fn settle(
    authorization: &mut Authorization,
    kind: ChallengeKind,
    outcome: &Result<(), String>,
    now: Timestamp,
) -> Option<Timestamp> {
    let challenge = authorization.challenge_mut(kind)?;
    let Err(reason) = outcome else {
        challenge.status = Status::Valid;
        challenge.validated_at = Some(now);
        challenge.error.clear();
        authorization.status = Status::Valid;
        authorization.expires_at = now.plus_secs(VALID_SECS);
        return None;
    };
    challenge.failures += 1;
    challenge.error = Kind::IncorrectResponse.with(reason).detail;
    if challenge.failures >= MAX_FAILURES {
        challenge.status = Status::Invalid;
        authorization.status = Status::Invalid;
        return None;
    }
    Some(now.plus_secs(STEP_SECS * u64::from(challenge.failures)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::pki::acme::records::IdentifierKind;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn authorization() -> Authorization {
        Authorization {
            identifier: Identifier {
                kind: IdentifierKind::Dns,
                value: "a.example".into(),
            },
            wildcard: false,
            status: Status::Pending,
            expires_at: NOW.plus_secs(3600),
            challenges: vec![Challenge {
                kind: ChallengeKind::Http01,
                token: "token".into(),
                status: Status::Processing,
                validated_at: None,
                error: String::new(),
                failures: 0,
            }],
        }
    }

    #[test]
    fn places_in_the_queue_sort_by_time_and_can_be_read() {
        let places = [9, 10, 1_000].map(|secs| Due::at(Timestamp::from_secs(secs), "a", "b"));
        assert!(places.clone().map(|due| due.key()).is_sorted());
        for due in places {
            assert_eq!(Due::parse(&due.key()), Some(due));
        }
        assert_eq!(Due::parse("x/a/b"), None);
        assert_eq!(Due::parse("1/a"), None);
    }

    #[test]
    fn what_fails_is_tried_again_later_and_later_and_then_no_more() {
        let mut authorization = authorization();
        let failed = Err("wrong".to_owned());
        let kind = ChallengeKind::Http01;
        let waits: Vec<Option<u64>> = (0..7)
            .map(|_| settle(&mut authorization, kind, &failed, NOW))
            .map(|at| at.map(|at| at.secs_since(NOW)))
            .collect();
        let expected = [5, 10, 15, 20, 25, 30].map(Some);
        assert_eq!((&waits[..6], waits[6]), (&expected[..], None));
        assert_eq!(authorization.status, Status::Invalid);
        assert_eq!(authorization.challenges[0].status, Status::Invalid);
        assert!(authorization.challenges[0].error.ends_with(": wrong"));
    }

    #[test]
    fn what_succeeds_is_valid_for_a_while_and_no_error_is_left() {
        let mut authorization = authorization();
        let kind = ChallengeKind::Http01;
        settle(&mut authorization, kind, &Err("wrong".into()), NOW);
        assert_eq!(authorization.status, Status::Pending);
        assert_eq!(settle(&mut authorization, kind, &Ok(()), NOW), None);
        let challenge = &authorization.challenges[0];
        assert_eq!(
            (challenge.status, challenge.validated_at),
            (Status::Valid, Some(NOW))
        );
        assert!(challenge.error.is_empty());
        let later = NOW.plus_secs(15 * 24 * 3600);
        assert_eq!(authorization.status_at(later), Status::Expired);
        assert_eq!(authorization.status_at(NOW), Status::Valid);
    }
}
