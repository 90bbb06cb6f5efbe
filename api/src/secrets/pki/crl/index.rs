//! Every revocation of a mount in memory, in the order of CRLs.
//!
//! Read from storage once, when the first CRL is built, and then kept up by what storage says has
//! changed. A million revocations take about 30 MB.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use signet_pki::serial::SerialNumber;
use signet_storage::View;

use crate::error::ApiError;
use crate::secrets::pki::records::{AuthorityId, REVOKED, RevokedRecord};

/// The index, which loads itself when it is asked for.
pub(super) struct RevocationIndex {
    view: View,
    /// Serial numbers, as in paths, whose records have changed. `None` while nothing is loaded.
    changed: Mutex<Option<HashSet<String>>>,
    loaded: tokio::sync::Mutex<Option<Loaded>>,
}

#[derive(Default)]
struct Loaded {
    entries: Entries,
    /// Taken from `changed`; kept here so that a caller who goes away loses none.
    folding: HashSet<String>,
}

impl std::fmt::Debug for RevocationIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationIndex").finish_non_exhaustive()
    }
}

impl RevocationIndex {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            changed: Mutex::new(None),
            loaded: tokio::sync::Mutex::new(None),
        }
    }

    /// The record of `serial`, as in paths, was written or deleted.
    pub(super) fn note_change(&self, serial: &str) {
        if let Some(changed) = self.changed.lock().as_mut() {
            changed.insert(serial.to_owned());
        }
    }

    /// All revocations that were acknowledged before the call.
    pub(super) async fn snapshot(&self) -> Result<Entries, ApiError> {
        let mut guard = self.loaded.lock().await;
        if guard.is_none() {
            // From now on changes are noted, so that the pages need not be of one moment.
            *self.changed.lock() = Some(HashSet::new());
            let mut loaded = Loaded::default();
            self.load(&mut loaded.entries).await?;
            *guard = Some(loaded);
        }
        let Some(loaded) = guard.as_mut() else {
            return Err(ApiError::internal("revocations are not loaded"));
        };
        self.fold(loaded).await?;
        Ok(loaded.entries.clone())
    }

    /// Takes in what has changed, if anything is loaded, so that noted changes do not pile up.
    pub(super) async fn catch_up(&self) -> Result<(), ApiError> {
        match self.loaded.lock().await.as_mut() {
            Some(loaded) => self.fold(loaded).await,
            None => Ok(()),
        }
    }

    async fn load(&self, entries: &mut Entries) -> Result<(), ApiError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.view.scan(REVOKED, after.as_deref(), PAGE).await?;
            let full = page.len() == PAGE;
            for (serial, entry) in &page {
                entries.put_record(serial, &entry.value)?;
            }
            after = page.into_iter().next_back().map(|(serial, _)| serial);
            if !full {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn fold(&self, loaded: &mut Loaded) -> Result<(), ApiError> {
        let changed = self.changed.lock().as_mut().map(std::mem::take);
        loaded.folding.extend(changed.unwrap_or_default());
        while let Some(serial) = loaded.folding.iter().next().cloned() {
            match self.view.get(&format!("{REVOKED}{serial}")).await? {
                Some(entry) => loaded.entries.put_record(&serial, &entry.value)?,
                None => {
                    if let Ok(number) = SerialNumber::parse(&serial) {
                        loaded.entries.remove(&number);
                    }
                }
            }
            loaded.folding.remove(&serial);
        }
        Ok(())
    }
}

/// Sorted revocations in pieces that clones share until they change.
#[derive(Clone, Default)]
pub(super) struct Entries {
    chunks: Vec<Arc<Vec<Entry>>>,
    /// Serial numbers beyond the 20 octets of RFC 5280.
    long: Arc<BTreeMap<SerialNumber, (u16, u32)>>,
    authorities: Arc<Vec<AuthorityId>>,
    /// Entries of each of the authorities.
    counts: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The serial number, then zeros.
    octets: [u8; SERIAL_OCTETS],
    length: u8,
    authority: u16,
    /// Seconds since the epoch.
    revoked_at: u32,
}

/// A revocation as CRLs need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    pub(super) serial: SerialNumber,
    pub(super) authority: AuthorityId,
    pub(super) revoked_at_secs: i64,
}

impl Entries {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + self.long.len()
    }

    /// The revocations of the authorities that `wanted` names, in the order of their octets.
    pub(super) fn of(
        &self,
        wanted: &dyn Fn(AuthorityId) -> bool,
    ) -> impl Iterator<Item = Revocation> + Clone + Send + use<> {
        let wanted: Vec<Option<AuthorityId>> = self
            .authorities
            .iter()
            .map(|id| wanted(*id).then_some(*id))
            .collect();
        let wanted = move |authority: u16| wanted.get(usize::from(authority)).copied().flatten();
        let long_wanted: Vec<Revocation> = self
            .long
            .iter()
            .filter_map(|(serial, (authority, revoked_at))| {
                Some(Revocation {
                    serial: *serial,
                    authority: wanted(*authority)?,
                    revoked_at_secs: i64::from(*revoked_at),
                })
            })
            .collect();
        let chunks = self.chunks.clone();
        (0..chunks.len())
            .flat_map(move |at| {
                let chunk = chunks.get(at).cloned().unwrap_or_default();
                (0..chunk.len()).filter_map(move |at| chunk.get(at).copied())
            })
            .filter_map(move |entry| {
                Some(Revocation {
                    authority: wanted(entry.authority)?,
                    serial: entry.serial()?,
                    revoked_at_secs: i64::from(entry.revoked_at),
                })
            })
            .chain(long_wanted)
    }

    /// The revocation of `serial`, whoever issued it.
    pub(super) fn get(&self, serial: &SerialNumber) -> Option<Revocation> {
        let (authority, revoked_at) = match Key::of(serial) {
            None => *self.long.get(serial)?,
            Some(key) => {
                let (chunk, at) = self.find(&key);
                let entry = self.chunks.get(chunk)?.get(at.ok()?)?;
                (entry.authority, entry.revoked_at)
            }
        };
        Some(Revocation {
            serial: *serial,
            authority: *self.authorities.get(usize::from(authority))?,
            revoked_at_secs: i64::from(revoked_at),
        })
    }

    /// How many there are of each authority.
    pub(super) fn counts(&self) -> BTreeMap<AuthorityId, u64> {
        let counts = self.counts.iter().copied();
        self.authorities.iter().copied().zip(counts).collect()
    }

    fn put_record(&mut self, serial: &str, record: &[u8]) -> Result<(), ApiError> {
        let Ok(number) = SerialNumber::parse(serial) else {
            tracing::warn!(serial, "revocation under a path that is no serial number");
            return Ok(());
        };
        match RevokedRecord::decode(record) {
            Ok(record) => self.put(&number, record.authority, record.revoked_at.secs()),
            Err(error) => {
                tracing::error!(serial, %error, "revocation cannot be read");
                Err(error)
            }
        }
    }

    fn put(
        &mut self,
        serial: &SerialNumber,
        authority: AuthorityId,
        revoked_at_secs: i64,
    ) -> Result<(), ApiError> {
        let authority = self.intern(authority)?;
        self.uncount(serial);
        if let Some(count) = self.counts.get_mut(usize::from(authority)) {
            *count += 1;
        }
        let revoked_at = u32::try_from(revoked_at_secs.max(0)).unwrap_or(u32::MAX);
        let Some(key) = Key::of(serial) else {
            Arc::make_mut(&mut self.long).insert(*serial, (authority, revoked_at));
            return Ok(());
        };
        let entry = Entry {
            octets: key.octets,
            length: key.length,
            authority,
            revoked_at,
        };
        let (at_chunk, found) = self.find(&key);
        let last = at_chunk + 1 == self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(at_chunk) else {
            self.chunks.push(new_chunk(&[entry]));
            return Ok(());
        };
        match found {
            Ok(at) => {
                if let Some(slot) = Arc::make_mut(chunk).get_mut(at) {
                    *slot = entry;
                }
            }
            // Loading goes in order: what is full stays full.
            Err(at) if chunk.len() >= CHUNK && last && at == chunk.len() => {
                self.chunks.push(new_chunk(&[entry]));
            }
            Err(at) if chunk.len() >= CHUNK => {
                let (low, high) = chunk.split_at(chunk.len() / 2);
                let (mut low, mut high) = (low.to_vec(), high.to_vec());
                match at.checked_sub(low.len()) {
                    Some(at) if at > 0 => high.insert(at, entry),
                    _ => low.insert(at, entry),
                }
                let high = new_chunk(&high);
                *chunk = new_chunk(&low);
                self.chunks.insert(at_chunk + 1, high);
            }
            Err(at) => Arc::make_mut(chunk).insert(at, entry),
        }
        Ok(())
    }

    fn uncount(&mut self, serial: &SerialNumber) {
        let known = self.get(serial).map(|known| known.authority);
        let mut places = self.authorities.iter().zip(&mut self.counts);
        if let Some((_, count)) = places.find(|(authority, _)| Some(**authority) == known) {
            *count -= 1;
        }
    }

    fn remove(&mut self, serial: &SerialNumber) {
        self.uncount(serial);
        let Some(key) = Key::of(serial) else {
            Arc::make_mut(&mut self.long).remove(serial);
            return;
        };
        let (at_chunk, Ok(at)) = self.find(&key) else {
            return;
        };
        if let Some(chunk) = self.chunks.get_mut(at_chunk) {
            let chunk = Arc::make_mut(chunk);
            if at < chunk.len() {
                chunk.remove(at);
            }
            if chunk.is_empty() {
                self.chunks.remove(at_chunk);
            }
        }
    }

    /// The chunk that holds or would hold `key`, and where in it.
    fn find(&self, key: &Key) -> (usize, Result<usize, usize>) {
        let after = self.chunks.partition_point(|chunk| {
            chunk
                .first()
                .is_some_and(|first| first.cmp_key(key).is_le())
        });
        let at_chunk = after.saturating_sub(1);
        let found = self.chunks.get(at_chunk).map_or(Err(0), |chunk| {
            chunk.binary_search_by(|entry| entry.cmp_key(key))
        });
        (at_chunk, found)
    }

    fn intern(&mut self, authority: AuthorityId) -> Result<u16, ApiError> {
        let known = self.authorities.iter().position(|id| *id == authority);
        let at = known.unwrap_or_else(|| {
            Arc::make_mut(&mut self.authorities).push(authority);
            self.counts.push(0);
            self.authorities.len() - 1
        });
        u16::try_from(at).map_err(|_| ApiError::internal("more than 65536 authorities"))
    }
}

/// The octets of a serial number that fits into an [`Entry`].
struct Key {
    octets: [u8; SERIAL_OCTETS],
    length: u8,
}

impl Key {
    fn of(serial: &SerialNumber) -> Option<Self> {
        let bytes = serial.as_bytes();
        let mut octets = [0; SERIAL_OCTETS];
        octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).ok()?;
        Some(Self { octets, length })
    }
}

impl Entry {
    /// Octet by octet, the shorter first: the order of paths.
    fn cmp_key(&self, key: &Key) -> Ordering {
        (self.octets, self.length).cmp(&(key.octets, key.length))
    }

    fn serial(&self) -> Option<SerialNumber> {
        let octets = self.octets.get(..usize::from(self.length))?;
        SerialNumber::from_magnitude(octets).ok()
    }
}

fn new_chunk(entries: &[Entry]) -> Arc<Vec<Entry>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    chunk.extend_from_slice(entries);
    Arc::new(chunk)
}

/// Entries of a chunk: what a change copies while somebody reads.
const CHUNK: usize = 1024;
/// RFC 5280 §4.1.2.2.
const SERIAL_OCTETS: usize = 20;
/// Revocations read in one go.
const PAGE: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn serials(entries: &Entries, wanted: AuthorityId) -> Vec<Vec<u8>> {
        entries
            .of(&|id| id == wanted)
            .map(|revocation| revocation.serial.as_bytes().to_vec())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn holds_what_a_set_would_hold_in_the_order_of_octets(
            changes in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0_u8..4, 1..6)), 0..400),
        ) {
            let mut entries = Entries::default();
            let mut set = std::collections::BTreeSet::new();
            for (put, octets) in changes {
                let serial = SerialNumber::from_magnitude(&octets).unwrap();
                if put {
                    entries.put(&serial, AuthorityId::UNKNOWN, 7).unwrap();
                    set.insert(serial.as_bytes().to_vec());
                } else {
                    entries.remove(&serial);
                    set.remove(serial.as_bytes());
                }
                prop_assert_eq!(entries.get(&serial).is_some(), put);
                let count: u64 = entries.counts().values().sum();
                prop_assert_eq!(count, u64::try_from(set.len()).unwrap());
            }
            let expected: Vec<_> = set.into_iter().collect();
            prop_assert_eq!(serials(&entries, AuthorityId::UNKNOWN), expected);
        }
    }

    #[test]
    fn keeps_its_order_when_chunks_split() {
        let mut entries = Entries::default();
        for number in (0..5_000_u32).map(|n| n.wrapping_mul(2_654_435_761)) {
            let serial = SerialNumber::from_magnitude(&number.to_be_bytes()).unwrap();
            entries.put(&serial, AuthorityId::UNKNOWN, 1).unwrap();
        }
        let found = serials(&entries, AuthorityId::UNKNOWN);
        assert_eq!((found.len(), entries.len()), (5_000, 5_000));
        assert!(found.is_sorted());
    }

    #[test]
    fn loading_in_order_leaves_no_half_empty_chunk() {
        let mut entries = Entries::default();
        for number in 0..10_240_u32 {
            let serial = SerialNumber::from_magnitude(&(number + (1 << 24)).to_be_bytes()).unwrap();
            entries.put(&serial, AuthorityId::UNKNOWN, 1).unwrap();
        }
        assert_eq!(entries.chunks.len(), 10);
    }

    #[test]
    fn a_snapshot_does_not_change() {
        let mut entries = Entries::default();
        let serial = |n: u8| SerialNumber::from_magnitude(&[n]).unwrap();
        entries.put(&serial(1), AuthorityId::UNKNOWN, 1).unwrap();
        let snapshot = entries.clone();
        entries.put(&serial(2), AuthorityId::UNKNOWN, 1).unwrap();
        entries.remove(&serial(1));
        assert_eq!(serials(&snapshot, AuthorityId::UNKNOWN), [[1]]);
        assert_eq!(serials(&entries, AuthorityId::UNKNOWN), [[2]]);
    }

    #[test]
    fn serials_of_64_octets_are_kept_too() {
        let mut entries = Entries::default();
        let serial = SerialNumber::from_magnitude(&[9; 64]).unwrap();
        entries.put(&serial, AuthorityId::UNKNOWN, 5).unwrap();
        assert_eq!(entries.get(&serial).unwrap().revoked_at_secs, 5);
        assert_eq!(serials(&entries, AuthorityId::UNKNOWN).len(), 1);
        entries.remove(&serial);
        assert_eq!(entries.len(), 0);
    }
}
