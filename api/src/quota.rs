//! Rate limits: how many requests one client address may make.
//!
//! Of all quotas that fit a path one counts, the most specific: the exact path, then the longest
//! `prefix*`, then the mount, then the one for everything.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Observer, Record, View};

use crate::call::Call;
use crate::error::{ApiError, ErrorKind};
use crate::time::Timestamp;

/// One rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateLimit {
    pub name: String,
    /// Empty for everything, a mount (`pki/`), a path inside one, or a prefix that ends in `*`.
    pub path: String,
    /// Requests in one interval; more than 0.
    pub rate: f64,
    /// At least 1.
    pub interval_secs: u64,
    /// How long a client that was too fast is refused everything; 0 for until there is room.
    pub block_interval_secs: u64,
    pub inheritable: bool,
}

impl Record for RateLimit {
    const FORMAT: u8 = 1;
}

/// What holds for all quotas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaConfig {
    /// Exact paths, or prefixes that end in `*`, that are never limited.
    pub exempt_paths: Vec<String>,
    /// Refusals stand in the audit log, too.
    pub audit_refusals: bool,
    /// Answers say how much is left.
    pub response_headers: bool,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        let exempt = [
            "sys/generate-root/attempt",
            "sys/generate-root/update",
            "sys/health",
            "sys/seal-status",
            "sys/unseal",
        ];
        Self {
            exempt_paths: exempt.map(str::to_owned).to_vec(),
            audit_refusals: false,
            response_headers: false,
        }
    }
}

impl Record for QuotaConfig {
    const FORMAT: u8 = 1;
}

/// The quotas of an unsealed server and how much of them is used.
pub struct Quotas {
    view: View,
    loaded: ArcSwap<Loaded>,
    stale: Arc<Stale>,
    /// By quota and client. Bounded: what was forgotten starts with a full bucket.
    buckets: Cache<(String, IpAddr), Arc<Mutex<Bucket>>>,
}

/// Clients that are kept in mind.
const CLIENTS: usize = 50_000;

#[derive(Debug, Default)]
struct Loaded {
    config: QuotaConfig,
    limits: Vec<Arc<RateLimit>>,
}

#[derive(Debug)]
struct Stale(AtomicBool);

impl Observer for Stale {
    fn changed(&self, _paths: &[&str]) {
        self.0.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas")
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

/// May a request go on?
#[derive(Debug, Default)]
pub struct Verdict {
    pub refusal: Option<Refusal>,
    /// For the answer, whatever it is.
    pub headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub struct Refusal {
    pub error: ApiError,
    /// The name of the quota.
    pub quota: String,
    pub audited: bool,
}

impl Quotas {
    #[must_use]
    pub fn new(view: View) -> Self {
        let stale = Arc::new(Stale(AtomicBool::new(true)));
        view.watch(stale.clone());
        Self {
            view,
            loaded: ArcSwap::default(),
            stale,
            buckets: Cache::new(CLIENTS),
        }
    }

    /// Counts one request.
    pub async fn admit(&self, call: &Call, now: Timestamp) -> Result<Verdict, ApiError> {
        self.refresh().await?;
        let loaded = self.loaded.load();
        if loaded.limits.is_empty() {
            return Ok(Verdict::default());
        }
        let path = call.path.trim_end_matches('/');
        if loaded
            .config
            .exempt_paths
            .iter()
            .any(|exempt| fits(exempt, path))
        {
            return Ok(Verdict::default());
        }
        let most_specific = loaded
            .limits
            .iter()
            .filter_map(|limit| Some((limit.specificity(path)?, limit)))
            .max_by_key(|(specificity, _)| *specificity);
        let Some((_, limit)) = most_specific else {
            return Ok(Verdict::default());
        };
        let key = (limit.name.clone(), client(call.peer.address.ip()));
        let Ok(bucket) = self.buckets.get_or_insert_with(&key, || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Bucket::full(limit, now))))
        });
        let taken = bucket.lock().take(limit, now);
        let mut verdict = Verdict::default();
        if loaded.config.response_headers {
            verdict.headers = taken.headers(limit);
        }
        if let Taken::Refused { .. } = taken {
            verdict.refusal = Some(Refusal {
                error: ApiError::plain(
                    ErrorKind::RateLimited,
                    format!("request path {:?}: rate limit quota exceeded", call.path),
                ),
                quota: limit.name.clone(),
                audited: loaded.config.audit_refusals,
            });
        }
        Ok(verdict)
    }

    pub async fn config(&self) -> Result<QuotaConfig, ApiError> {
        let stored = self.view.record::<QuotaConfig>(CONFIG).await?;
        Ok(stored.map_or_else(QuotaConfig::default, |stored| stored.value))
    }

    pub fn stage_config(&self, batch: &mut Batch, config: &QuotaConfig) -> Result<(), ApiError> {
        Ok(self.view.put_record(batch, CONFIG, config)?)
    }

    /// All rate limits, sorted by name.
    pub async fn limits(&self) -> Result<Vec<RateLimit>, ApiError> {
        let stored = self
            .view
            .scan_records::<RateLimit>(LIMITS, None, MAX_LIMITS)
            .await?;
        Ok(stored.into_iter().map(|(_, limit)| limit.value).collect())
    }

    pub async fn limit(&self, name: &str) -> Result<Option<RateLimit>, ApiError> {
        let stored = self
            .view
            .record::<RateLimit>(&format!("{LIMITS}{name}"))
            .await?;
        Ok(stored.map(|stored| stored.value))
    }

    pub fn stage_limit(&self, batch: &mut Batch, limit: &RateLimit) -> Result<(), ApiError> {
        let path = format!("{LIMITS}{}", limit.name);
        Ok(self.view.put_record(batch, &path, limit)?)
    }

    pub fn stage_deletion(&self, batch: &mut Batch, name: &str) {
        self.view.delete(batch, &format!("{LIMITS}{name}"));
    }

    async fn refresh(&self) -> Result<(), ApiError> {
        if !self.stale.0.load(Ordering::Acquire) {
            return Ok(());
        }
        // Cleared first: a change during the reading marks it again.
        self.stale.0.store(false, Ordering::Release);
        match self.load().await {
            Ok(loaded) => {
                self.loaded.store(Arc::new(loaded));
                // A changed rate starts anew.
                self.buckets.clear();
                Ok(())
            }
            Err(error) => {
                self.stale.0.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    async fn load(&self) -> Result<Loaded, ApiError> {
        let limits = self.limits().await?;
        Ok(Loaded {
            config: self.config().await?,
            limits: limits.into_iter().map(Arc::new).collect(),
        })
    }
}

const CONFIG: &str = "config";
const LIMITS: &str = "rate-limit/";
/// Each is compared with every request.
pub const MAX_LIMITS: usize = 1000;

/// Of two quotas that fit, the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Everything,
    Mount(usize),
    Prefix(usize),
    Exact,
}

impl RateLimit {
    fn specificity(&self, path: &str) -> Option<Specificity> {
        if self.path.is_empty() {
            return Some(Specificity::Everything);
        }
        if let Some(prefix) = self.path.strip_suffix('*') {
            return path
                .starts_with(prefix)
                .then_some(Specificity::Prefix(prefix.len()));
        }
        if let Some(mount) = self.path.strip_suffix('/') {
            let is_inside = path
                .strip_prefix(mount)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            return is_inside.then_some(Specificity::Mount(mount.len()));
        }
        (self.path == path).then_some(Specificity::Exact)
    }

    /// Requests are counted in billionths, so that a rate need not be whole.
    fn rate_nanos(&self) -> u128 {
        // A duration is the one way from a float to an integer that checks its range.
        Duration::try_from_secs_f64(self.rate).map_or(u128::from(u64::MAX), |rate| rate.as_nanos())
    }

    fn capacity_nanos(&self) -> u128 {
        self.rate_nanos().max(ONE)
    }
}

/// One request, in billionths.
const ONE: u128 = 1_000_000_000;

fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern.trim_end_matches('/') == path,
    }
}

/// A network of IPv6 that one customer is given counts as one client.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

/// What a client has left.
#[derive(Debug)]
struct Bucket {
    /// In billionths of a request.
    left: u128,
    filled_at: Timestamp,
    blocked_until: Timestamp,
}

enum Taken {
    Admitted { left: u128 },
    Refused { retry_after_secs: u64 },
}

impl Bucket {
    fn full(limit: &RateLimit, now: Timestamp) -> Self {
        Self {
            left: limit.capacity_nanos(),
            filled_at: now,
            blocked_until: Timestamp(i64::MIN),
        }
    }

    fn take(&mut self, limit: &RateLimit, now: Timestamp) -> Taken {
        if now < self.blocked_until {
            return Taken::Refused {
                retry_after_secs: self.blocked_until.secs_since(now).max(1),
            };
        }
        let rate = limit.rate_nanos();
        let interval_nanos = u128::from(limit.interval_secs.max(1)) * ONE;
        let elapsed = u128::try_from(now.0.saturating_sub(self.filled_at.0)).unwrap_or(0);
        let refill = elapsed.saturating_mul(rate) / interval_nanos;
        self.left = self.left.saturating_add(refill).min(limit.capacity_nanos());
        self.filled_at = now.max(self.filled_at);
        if self.left >= ONE {
            self.left -= ONE;
            return Taken::Admitted { left: self.left };
        }
        let retry_after_secs = if limit.block_interval_secs > 0 {
            self.blocked_until = now.plus_secs(limit.block_interval_secs);
            limit.block_interval_secs
        } else {
            let missing = (ONE - self.left).saturating_mul(interval_nanos) / rate.max(1);
            u64::try_from(missing.div_ceil(ONE)).unwrap_or(u64::MAX)
        };
        Taken::Refused { retry_after_secs }
    }
}

impl Taken {
    fn headers(&self, limit: &RateLimit) -> Vec<(&'static str, String)> {
        let left = match self {
            Self::Admitted { left } => *left,
            Self::Refused { .. } => 0,
        };
        let mut headers = vec![
            (
                "x-ratelimit-limit",
                (limit.capacity_nanos() / ONE).to_string(),
            ),
            ("x-ratelimit-remaining", (left / ONE).to_string()),
            ("x-ratelimit-reset", limit.interval_secs.to_string()),
        ];
        if let Self::Refused { retry_after_secs } = self {
            headers.push(("retry-after", retry_after_secs.to_string()));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(path: &str, rate: f64) -> RateLimit {
        RateLimit {
            name: "q".into(),
            path: path.into(),
            rate,
            interval_secs: 1,
            block_interval_secs: 0,
            inheritable: false,
        }
    }

    fn admitted(bucket: &mut Bucket, limit: &RateLimit, now: Timestamp) -> bool {
        matches!(bucket.take(limit, now), Taken::Admitted { .. })
    }

    #[test]
    fn a_client_gets_its_rate_and_no_more() {
        let limit = limit("", 2.0);
        let start = Timestamp::from_secs(1000);
        let mut bucket = Bucket::full(&limit, start);
        let taken: Vec<_> = (0..3)
            .map(|_| admitted(&mut bucket, &limit, start))
            .collect();
        assert_eq!(taken, [true, true, false]);
        let half_a_second_later = Timestamp(start.0 + 500_000_000);
        assert!(admitted(&mut bucket, &limit, half_a_second_later));
        assert!(!admitted(&mut bucket, &limit, half_a_second_later));
    }

    #[test]
    fn rates_below_one_let_one_through_at_a_time() {
        let limit = limit("", 0.5);
        let start = Timestamp::from_secs(1000);
        let mut bucket = Bucket::full(&limit, start);
        assert!(admitted(&mut bucket, &limit, start));
        assert!(!admitted(&mut bucket, &limit, start.plus_secs(1)));
        assert!(admitted(&mut bucket, &limit, start.plus_secs(2)));
    }

    #[test]
    fn a_blocked_client_waits_the_whole_time() {
        let limit = RateLimit {
            block_interval_secs: 10,
            ..limit("", 1.0)
        };
        let start = Timestamp::from_secs(1000);
        let mut bucket = Bucket::full(&limit, start);
        assert!(admitted(&mut bucket, &limit, start));
        assert!(!admitted(&mut bucket, &limit, start));
        assert!(!admitted(&mut bucket, &limit, start.plus_secs(9)));
        assert!(admitted(&mut bucket, &limit, start.plus_secs(10)));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let limit = limit("", 1.0);
        let start = Timestamp::from_secs(1000);
        let mut bucket = Bucket::full(&limit, start);
        assert!(admitted(&mut bucket, &limit, start));
        assert!(!admitted(&mut bucket, &limit, Timestamp::from_secs(0)));
        assert!(!admitted(&mut bucket, &limit, start));
    }

    #[test]
    fn the_most_specific_quota_counts() {
        let rank = |quota: &str, path: &str| limit(quota, 1.0).specificity(path);
        let path = "pki/issue/web";
        let order = ["", "pki/", "pki/i*", "pki/issue/*", "pki/issue/web"];
        let ranks: Vec<_> = order.iter().map(|quota| rank(quota, path)).collect();
        assert!(ranks.is_sorted_by(|a, b| a.is_some() && a < b), "{ranks:?}");
        assert_eq!(rank("pk/", path), None);
        assert_eq!(rank("pki/issue", path), None);
        assert_eq!(rank("pki/", "pki2/x"), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"]
            .map(|text| client(text.parse().unwrap()));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(
            client("::ffff:10.0.0.1".parse().unwrap()),
            client("10.0.0.1".parse().unwrap())
        );
    }
}
