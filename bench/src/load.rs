//! Load: closed loops, in which each connection sends its next request when the last is answered,
//! and open ones, in which requests come at their time whatever the server does.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::spawn_local;

use crate::Error;
use crate::client::{Connection, request};

/// What is asked of a server, over and over.
#[derive(Debug)]
pub(crate) enum Work {
    Repeat(Vec<u8>),
    /// The same, over a new connection each time.
    OnFreshConnections(Vec<u8>),
    /// Each once.
    Each(RefCell<Vec<Vec<u8>>>),
    /// Two requests, the second with the token that the first gives.
    LoginThen {
        login: Vec<u8>,
        path: String,
        body: Vec<u8>,
    },
}

impl Work {
    /// The one request of a load that has only one.
    pub(crate) fn repeated(&self) -> Option<&[u8]> {
        match self {
            Self::Repeat(request) => Some(request),
            Self::OnFreshConnections(_) | Self::Each(_) | Self::LoginThen { .. } => None,
        }
    }

    /// `false` when there is nothing left to ask.
    async fn once(&self, connection: &mut Connection) -> Result<bool, Error> {
        match self {
            Self::OnFreshConnections(request) => {
                connection.reopen().await?;
                connection.send(request).await?;
            }
            Self::Repeat(request) => {
                connection.send(request).await?;
            }
            Self::Each(requests) => {
                let next = requests.borrow_mut().pop();
                let Some(request) = next else {
                    return Ok(false);
                };
                connection.send(&request).await?;
            }
            Self::LoginThen { login, path, body } => {
                let answer = connection.json(login).await?;
                let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
                let token = token.ok_or("the login gave no token")?;
                connection.send(&request("POST", path, token, body)).await?;
            }
        }
        Ok(true)
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    /// Sorted.
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Done {
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        crate::count(self.latencies.len()) / self.elapsed.as_secs_f64()
    }

    pub(crate) fn percentile_millis(&self, percent: usize) -> f64 {
        percentile_millis(&self.latencies, percent)
    }
}

/// Of sorted durations; the hundredth is the longest.
pub(crate) fn percentile_millis(sorted: &[Duration], percent: usize) -> f64 {
    let position = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    let found = sorted.get(position).copied().unwrap_or_default();
    found.as_secs_f64() * 1e3
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Closed,
    /// Requests in a second, over all connections.
    Open(f64),
}

/// Runs `work` on this many connections.
pub(crate) async fn run(
    address: SocketAddr,
    work: Work,
    connections: usize,
    duration: Duration,
    pace: Pace,
) -> Result<Done, Error> {
    // Warm caches are part of neither server's figure.
    work.once(&mut Connection::open(address).await?).await?;
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let run = Rc::new(Run {
        work,
        began: Instant::now(),
        duration,
        pace,
        sent: RefCell::new(0),
    });
    let tasks: Vec<_> = open
        .into_iter()
        .map(|connection| spawn_local(run.clone().connection(connection)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let elapsed = run.began.elapsed();
    latencies.sort_unstable();
    Ok(Done { latencies, elapsed })
}

struct Run {
    work: Work,
    began: Instant,
    duration: Duration,
    pace: Pace,
    sent: RefCell<u32>,
}

impl Run {
    async fn connection(
        self: Rc<Self>,
        mut connection: Connection,
    ) -> Result<Vec<Duration>, Error> {
        let mut latencies = Vec::new();
        loop {
            let due = self.next_due();
            if due >= self.began + self.duration {
                return Ok(latencies);
            }
            let now = Instant::now();
            // What comes late because all connections were busy has waited since it was due; a
            // timer that wakes late is not the server's fault.
            let since = if due > now {
                tokio::time::sleep_until(due.into()).await;
                Instant::now()
            } else {
                due
            };
            if !self.work.once(&mut connection).await? {
                return Ok(latencies);
            }
            latencies.push(since.elapsed());
        }
    }

    fn next_due(&self) -> Instant {
        let Pace::Open(per_second) = self.pace else {
            return Instant::now();
        };
        let mut sent = self.sent.borrow_mut();
        let due = self.began + Duration::from_secs_f64(f64::from(*sent) / per_second);
        *sent += 1;
        due
    }
}
