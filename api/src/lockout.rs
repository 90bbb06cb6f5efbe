//! Users that are shut out for a while after too many wrong secrets; shared by login methods.
//!
//! Only users that exist are counted: what a stranger invents cannot fill the memory. It is lost
//! with a restart, as the waiting time is short.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::error::ApiError;
use crate::mount::LockoutConfig;
use crate::request::Request;
use crate::time::Timestamp;

/// What the operator sets for all mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockoutSettings {
    /// Nobody is locked out, whatever the mounts say.
    pub disabled: bool,
    /// For mounts that are not tuned.
    pub default: LockoutConfig,
    /// The same by kind of auth method, before `default`.
    pub by_kind: BTreeMap<String, LockoutConfig>,
}

/// The failed logins of an unsealed server.
#[derive(Debug, Default)]
pub struct Lockouts {
    users: Mutex<HashMap<User, Failures>>,
}

/// Users remembered at once; the one whose last failure is longest ago makes room.
const MAX_USERS: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct User {
    mount_accessor: String,
    /// In the one form that the auth method compares.
    alias: String,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u64,
    last: Timestamp,
    /// A count of failures before this time means nothing any more.
    forgotten_at: Timestamp,
    locked_until: Option<Timestamp>,
}

/// A login of a user that exists, before its secret is checked.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// `None` where nobody is locked out.
    counted: Option<(&'a Lockouts, User, LockoutConfig)>,
    now: Timestamp,
}

impl<'a> Attempt<'a> {
    /// `alias` is the user's name within the auth mount, in one form: no two spellings of the same
    /// user.
    ///
    /// # Errors
    /// `Forbidden` while the user is locked out.
    pub fn begin(request: &'a Request, alias: &str) -> Result<Self, ApiError> {
        let settings = &request.node.settings.user_lockout;
        let now = request.now;
        let tuned = request.mount.settings.config().user_lockout.clone();
        let config = tuned
            .or_else(|| settings.by_kind.get(request.mount.kind()).cloned())
            .unwrap_or_else(|| settings.default.clone());
        if settings.disabled || config.disabled || config.threshold == 0 {
            return Ok(Self { counted: None, now });
        }
        let user = User {
            mount_accessor: request.mount.record.accessor.clone(),
            alias: alias.to_owned(),
        };
        let lockouts = &request.core()?.lockouts;
        if lockouts.is_locked(&user, now) {
            return Err(ApiError::permission_denied());
        }
        Ok(Self {
            counted: Some((lockouts, user, config)),
            now,
        })
    }

    /// The secret was wrong.
    pub fn failed(self) {
        if let Some((lockouts, user, config)) = self.counted {
            lockouts.count_failure(user, &config, self.now);
        }
    }

    /// The secret was right: earlier failures are forgotten.
    pub fn succeeded(self) {
        if let Some((lockouts, user, _)) = self.counted {
            lockouts.forget(&user);
        }
    }
}

impl Lockouts {
    /// Locked aliases by the accessor of their mount, both sorted.
    #[must_use]
    pub fn locked(&self, now: Timestamp) -> Vec<(String, Vec<String>)> {
        let mut locked: Vec<User> = self
            .users
            .lock()
            .iter()
            .filter(|(_, failures)| failures.is_locked(now))
            .map(|(user, _)| user.clone())
            .collect();
        locked.sort_unstable();
        let mut by_mount: Vec<(String, Vec<String>)> = Vec::new();
        for User {
            mount_accessor,
            alias,
        } in locked
        {
            match by_mount.last_mut() {
                Some((last, aliases)) if *last == mount_accessor => aliases.push(alias),
                _ => by_mount.push((mount_accessor, vec![alias])),
            }
        }
        by_mount
    }

    /// Lets a user in again at once.
    pub fn unlock(&self, mount_accessor: &str, alias: &str) {
        self.forget(&User {
            mount_accessor: mount_accessor.to_owned(),
            alias: alias.to_owned(),
        });
    }

    fn is_locked(&self, user: &User, now: Timestamp) -> bool {
        let users = self.users.lock();
        users.get(user).is_some_and(|f| f.is_locked(now))
    }

    fn forget(&self, user: &User) {
        self.users.lock().remove(user);
    }

    fn count_failure(&self, user: User, config: &LockoutConfig, now: Timestamp) {
        let mut users = self.users.lock();
        if users.len() >= MAX_USERS && !users.contains_key(&user) {
            make_room(&mut users, now);
        }
        let failures = users.entry(user).or_insert(Failures {
            count: 0,
            last: now,
            forgotten_at: now,
            locked_until: None,
        });
        if failures.is_over(now) {
            failures.count = 0;
            failures.locked_until = None;
        }
        failures.count += 1;
        failures.last = now;
        failures.forgotten_at = now.plus_secs(config.counter_reset_secs);
        if failures.count >= config.threshold {
            failures.locked_until = Some(now.plus_secs(config.duration_secs));
        }
    }
}

impl Failures {
    fn is_locked(&self, now: Timestamp) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        match self.locked_until {
            Some(until) => until <= now,
            None => self.forgotten_at <= now,
        }
    }
}

fn make_room(users: &mut HashMap<User, Failures>, now: Timestamp) {
    users.retain(|_, failures| !failures.is_over(now));
    if users.len() < MAX_USERS {
        return;
    }
    let oldest = users.iter().min_by_key(|(_, failures)| failures.last);
    if let Some(user) = oldest.map(|(user, _)| user.clone()) {
        users.remove(&user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(alias: &str) -> User {
        User {
            mount_accessor: "auth_approle_1".into(),
            alias: alias.into(),
        }
    }

    fn fail(lockouts: &Lockouts, alias: &str, times: usize, now: i64) {
        for _ in 0..times {
            let now = Timestamp::from_secs(now);
            lockouts.count_failure(user(alias), &LockoutConfig::default(), now);
        }
    }

    fn is_locked(lockouts: &Lockouts, alias: &str, now: i64) -> bool {
        lockouts.is_locked(&user(alias), Timestamp::from_secs(now))
    }

    #[test]
    fn the_fifth_failure_locks_for_a_quarter_of_an_hour() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "a", 4, 0);
        assert!(!is_locked(&lockouts, "a", 0));
        fail(&lockouts, "a", 1, 10);
        assert!(is_locked(&lockouts, "a", 909));
        assert!(!is_locked(&lockouts, "a", 910));
        assert!(!is_locked(&lockouts, "b", 10));
        fail(&lockouts, "a", 1, 910);
        assert!(!is_locked(&lockouts, "a", 910), "a lock ends the count");
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let lockouts = Lockouts::default();
        for round in 0..10 {
            fail(&lockouts, "a", 1, round * 900);
        }
        assert!(!is_locked(&lockouts, "a", 9 * 900));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_makes_room() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "first", 5, 0);
        for number in 0..MAX_USERS {
            fail(&lockouts, &format!("user {number}"), 1, 1);
        }
        assert_eq!(lockouts.users.lock().len(), MAX_USERS);
        assert!(!is_locked(&lockouts, "first", 2));
        fail(&lockouts, "late", 1, 5_000);
        assert_eq!(lockouts.users.lock().len(), 1);
    }

    #[test]
    fn lists_locked_users_by_mount() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "b", 5, 0);
        fail(&lockouts, "a", 5, 0);
        fail(&lockouts, "c", 4, 0);
        let now = Timestamp::from_secs(1);
        let expected = (
            "auth_approle_1".to_owned(),
            vec!["a".to_owned(), "b".into()],
        );
        assert_eq!(lockouts.locked(now), [expected]);
        lockouts.unlock("auth_approle_1", "a");
        lockouts.unlock("auth_approle_1", "b");
        assert_eq!(lockouts.locked(now), []);
    }
}
