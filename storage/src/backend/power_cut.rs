//! redb on a disk that loses power, tears writes and fails.
//!
//! The disk keeps apart what was written and what was synced. At every sync of a short history it
//! takes a picture of both; afterwards the test makes of each picture images that a power cut could
//! leave (some of the writes since the last sync, in any order, any of them in part), and opens
//! them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rand_core::Rng;
use redb::StorageBackend;

use super::group::{GroupCommit, Store as _};
use super::redb::{RedbStore, builder};
use super::{Backend, Batch, Entry, Expect, Observer, Version};
use crate::error::StorageError;
use crate::seeded_rng::SeededRng;

type Store = GroupCommit<RedbStore>;

/// Cheap to clone; clones are the same disk.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Write>,
    /// Taken at each sync, if `record` is set.
    pictures: Vec<Picture>,
    /// Gives what was acknowledged so far.
    record: Option<Arc<AtomicU64>>,
    fault: Option<Fault>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// The disk when a sync was asked for and not yet done.
#[derive(Clone, Debug)]
struct Picture {
    durable: Vec<u8>,
    unsynced: Vec<Write>,
    acknowledged: u64,
}

/// After `after` more writes, resizings and syncs, the next `times` fail.
#[derive(Clone, Copy, Debug)]
struct Fault {
    after: u64,
    times: u64,
    kind: io::ErrorKind,
}

impl Disk {
    fn holding(image: Vec<u8>) -> Self {
        let platters = Platters {
            live: image.clone(),
            durable: image,
            ..Platters::default()
        };
        Self(Arc::new(Mutex::new(platters)))
    }

    fn open(&self) -> Result<Store, StorageError> {
        GroupCommit::start(self.open_store()?)
    }

    fn open_store(&self) -> Result<RedbStore, StorageError> {
        let disk = self.clone();
        let opener = move || builder(CACHE_BYTES).create_with_backend(disk.clone());
        RedbStore::open(opener, None)
    }

    fn start_recording(&self, acknowledged: &Arc<AtomicU64>) {
        self.0.lock().record = Some(Arc::clone(acknowledged));
    }

    fn take_pictures(&self) -> Vec<Picture> {
        let mut platters = self.0.lock();
        platters.record = None;
        std::mem::take(&mut platters.pictures)
    }

    fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().fault = fault;
    }

    /// How much of the fault is left.
    fn fault(&self) -> Option<Fault> {
        self.0.lock().fault
    }
}

impl Platters {
    fn maybe_fail(&mut self) -> Result<(), io::Error> {
        match &mut self.fault {
            Some(Fault {
                after: 0,
                times,
                kind,
            }) if *times > 0 => {
                *times -= 1;
                Err((*kind).into())
            }
            Some(Fault { after, .. }) if *after > 0 => {
                *after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Write {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Bytes { offset, bytes } => {
                let end = offset + bytes.len();
                // A write may reach the disk when the growth of the file did not.
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    /// Some of the write's sectors.
    fn torn(&self, rng: &mut SeededRng) -> Vec<Self> {
        match self {
            Self::Length(_) => vec![self.clone()],
            Self::Bytes { offset, bytes } => bytes
                .chunks(SECTOR_BYTES)
                .enumerate()
                .filter(|_| rng.next_u32().is_multiple_of(2))
                .map(|(at, sector)| Self::Bytes {
                    offset: offset + at * SECTOR_BYTES,
                    bytes: sector.to_vec(),
                })
                .collect(),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(u64::try_from(self.0.lock().live.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).unwrap();
        match self.0.lock().live.get(offset..offset + out.len()) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut platters = self.0.lock();
        platters.maybe_fail()?;
        let write = Write::Length(usize::try_from(length).unwrap());
        write.apply(&mut platters.live);
        platters.unsynced.push(write);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut platters = self.0.lock();
        platters.maybe_fail()?;
        let offset = usize::try_from(offset).unwrap();
        let write = Write::Bytes {
            offset,
            bytes: data.to_vec(),
        };
        write.apply(&mut platters.live);
        platters.unsynced.push(write);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platters = self.0.lock();
        platters.maybe_fail()?;
        if let Some(acknowledged) = &platters.record {
            let picture = Picture {
                durable: platters.durable.clone(),
                unsynced: platters.unsynced.clone(),
                acknowledged: acknowledged.load(Ordering::SeqCst),
            };
            platters.pictures.push(picture);
        }
        let Platters {
            durable, unsynced, ..
        } = &mut *platters;
        for write in unsynced.drain(..) {
            write.apply(durable);
        }
        Ok(())
    }
}

impl Picture {
    /// What the disk may hold after a power cut at or before this sync.
    fn images(&self, rng: &mut SeededRng) -> Vec<Vec<u8>> {
        let writes = &self.unsynced;
        let mut histories: Vec<Vec<Write>> = vec![Vec::new(), writes.clone()];
        if !writes.is_empty() {
            // The first few in order; the last one torn; any, in any order; any, torn.
            let some = below(rng, writes.len());
            let mut torn = writes[..some].to_vec();
            torn.extend(writes[some].torn(rng));
            histories.push(torn);
            histories.push(writes[some..].to_vec());
            let mut any: Vec<Write> = writes
                .iter()
                .filter(|_| rng.next_u32().is_multiple_of(2))
                .cloned()
                .collect();
            shuffle(&mut any, rng);
            let torn = any.iter().flat_map(|write| write.torn(rng)).collect();
            histories.extend([any, torn]);
        }
        histories
            .into_iter()
            .map(|history| {
                let mut image = self.durable.clone();
                for write in &history {
                    write.apply(&mut image);
                }
                image
            })
            .collect()
    }
}

fn below(rng: &mut SeededRng, limit: usize) -> usize {
    usize::try_from(rng.next_u64() % u64::try_from(limit).unwrap()).unwrap()
}

fn shuffle(writes: &mut [Write], rng: &mut SeededRng) {
    for at in (1..writes.len()).rev() {
        writes.swap(at, below(rng, at + 1));
    }
}

const CACHE_BYTES: usize = 1024 * 1024;
const SECTOR_BYTES: usize = 512;

/// Commit `number`: raises a counter, writes three records in different places, deletes one of a
/// while ago.
fn commit(number: u64) -> Batch {
    let mut batch = Batch::new();
    let expected = if number == 1 {
        Expect::Absent
    } else {
        Expect::Present
    };
    batch.expect("counter", expected);
    batch.put("counter", number.to_be_bytes().to_vec());
    for place in PLACES {
        let mut bytes = vec![0; 700];
        SeededRng(number).fill_bytes(&mut bytes);
        batch.put(format!("{place}/{number:04}"), bytes);
        if number > KEPT {
            batch.delete(format!("{place}/{:04}", number - KEPT));
        }
    }
    batch
}

const PLACES: [&str; 3] = ["a", "m", "z"];
const KEPT: u64 = 4;

/// Finds out which commit the store is at and checks that it holds exactly that.
async fn state(store: &Store) -> u64 {
    let counter = store.get("counter").await.unwrap();
    let number = counter.map_or(0, |entry| {
        u64::from_be_bytes(entry.value.as_slice().try_into().unwrap())
    });
    let mut expected = BTreeMap::new();
    for kept in number.saturating_sub(KEPT - 1).max(1)..=number {
        for (path, value) in commit(kept).changes() {
            if let Some(value) = value {
                expected.insert(path.to_owned(), value.to_vec());
            }
        }
    }
    let found: BTreeMap<String, Vec<u8>> = store
        .scan("", None, usize::MAX)
        .await
        .unwrap()
        .into_iter()
        .map(|(path, entry)| (path, entry.value))
        .collect();
    assert!(
        found == expected,
        "commit {number} is not whole: {:?}",
        found.keys()
    );
    number
}

#[tokio::test]
async fn a_power_cut_at_any_sync_loses_nothing_acknowledged() {
    let mut rng = SeededRng(20);
    let disk = Disk::default();
    let acknowledged = Arc::new(AtomicU64::new(0));
    // A new file takes its name only when it is complete.
    drop(disk.open().unwrap());
    disk.start_recording(&acknowledged);
    let mut store = disk.open().unwrap();
    for number in 1..=9 {
        store.commit(commit(number)).await.unwrap();
        acknowledged.store(number, Ordering::SeqCst);
        if number % 4 == 0 {
            drop(store);
            disk.open_store().unwrap().settle().unwrap();
            store = disk.open().unwrap();
        }
    }
    drop(store);
    let pictures = disk.take_pictures();
    assert!(
        pictures.len() >= 18,
        "{} syncs in 9 commits of two phases",
        pictures.len()
    );
    assert!(pictures.iter().any(|picture| picture.unsynced.len() > 2));
    for picture in &pictures {
        for image in picture.images(&mut rng) {
            survive(picture, image, &mut rng).await;
        }
    }
}

/// Opens the image, and cuts the power once more while it is being repaired and used.
async fn survive(picture: &Picture, image: Vec<u8>, rng: &mut SeededRng) {
    let disk = Disk::holding(image);
    let acknowledged = Arc::new(AtomicU64::new(picture.acknowledged));
    disk.start_recording(&acknowledged);
    let store = disk.open().unwrap();
    let number = state(&store).await;
    // The commit under way may have made it.
    assert!((picture.acknowledged..=picture.acknowledged + 1).contains(&number));
    acknowledged.store(number, Ordering::SeqCst);
    store.commit(commit(number + 1)).await.unwrap();
    acknowledged.store(number + 1, Ordering::SeqCst);
    drop(store);

    let again = disk.take_pictures();
    let second = &again[below(rng, again.len())];
    let images = second.images(rng);
    let store = Disk::holding(images[below(rng, images.len())].clone())
        .open()
        .unwrap();
    let number = state(&store).await;
    assert!((second.acknowledged..=second.acknowledged + 1).contains(&number));
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn changed(&self, paths: &[&str]) {
        self.0
            .lock()
            .extend(paths.iter().map(|&path| path.to_owned()));
    }
}

#[tokio::test]
async fn a_disk_that_fails_once_costs_that_commit_and_no_restart() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let mut reached = true;
        let mut after = 0;
        while reached {
            reached = fail_once(Fault {
                after,
                times: 1,
                kind,
            })
            .await;
            after += 1;
        }
        assert!(after > 6, "only {after} operations in a commit");
    }
}

/// Whether the fault hit.
async fn fail_once(fault: Fault) -> bool {
    let disk = Disk::default();
    let store = disk.open().unwrap();
    for number in 1..=5 {
        store.commit(commit(number)).await.unwrap();
    }
    let heard = Arc::new(Heard::default());
    store.watch(heard.clone());
    disk.set_fault(Some(fault));
    let result = store.commit(commit(6)).await;
    let hit = disk.fault().is_some_and(|fault| fault.times == 0);
    disk.set_fault(None);
    assert!(
        heard.0.lock().contains(&"counter".to_owned()),
        "caches were not told to look"
    );
    let number = match result {
        Ok(_) => {
            assert!(!hit, "a failed commit was acknowledged: {fault:?}");
            6
        }
        Err(error) => {
            let StorageError::Io(source) = error else {
                panic!("{error}")
            };
            assert_eq!(source.kind(), fault.kind);
            // Not acknowledged: there or not, but whole, and the store goes on.
            let number = state(&store).await;
            assert!((5..=6).contains(&number), "{number} after {fault:?}");
            number
        }
    };
    store.commit(commit(number + 1)).await.unwrap();
    assert_eq!(state(&store).await, number + 1);

    // And all of it is durable.
    let image = disk.0.lock().durable.clone();
    let reopened = Disk::holding(image).open().unwrap();
    assert_eq!(state(&reopened).await, number + 1);
    hit
}

#[tokio::test]
async fn a_disk_that_stays_full_fails_every_commit_until_there_is_room() {
    for after in 0..12 {
        let disk = Disk::default();
        let store = disk.open().unwrap();
        for number in 1..=5 {
            store.commit(commit(number)).await.unwrap();
        }
        let kind = io::ErrorKind::StorageFull;
        disk.set_fault(Some(Fault {
            after,
            times: u64::MAX,
            kind,
        }));
        let mut last = 5;
        for _ in 0..20 {
            match store.commit(commit(last + 1)).await {
                Ok(_) => last += 1,
                Err(StorageError::Io(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(
            store.commit(commit(last + 1)).await,
            Err(StorageError::Io(_))
        ));
        disk.set_fault(None);
        // The first commit after that also opens the file again.
        let mut retry = Batch::new();
        retry.expect("counter", Expect::Present);
        store.commit(retry).await.unwrap();
        let number = state(&store).await;
        assert!(
            (last..=last + 1).contains(&number),
            "{number}, acknowledged {last}"
        );
        store.commit(commit(number + 1)).await.unwrap();
        drop(store);
        let reopened = Disk::holding(disk.0.lock().durable.clone()).open().unwrap();
        assert_eq!(state(&reopened).await, number + 1);
    }
}

#[tokio::test]
async fn all_members_of_a_failed_group_get_the_error() {
    let disk = Disk::default();
    let store = Arc::new(disk.open().unwrap());
    let kind = io::ErrorKind::StorageFull;
    disk.set_fault(Some(Fault {
        after: 0,
        times: u64::MAX,
        kind,
    }));
    let commits: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.put(format!("p/{number}"), vec![0; 2000]);
                store.commit(batch).await
            })
        })
        .collect();
    for commit in commits {
        assert!(matches!(commit.await.unwrap(), Err(StorageError::Io(_))));
    }
}

/// Whether opening what is durable now would walk the whole file.
fn needs_repair(disk: &Disk) -> bool {
    let copy = Disk::holding(disk.0.lock().durable.clone());
    let repaired = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&repaired);
    builder(CACHE_BYTES)
        .set_repair_callback(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        })
        .create_with_backend(copy)
        .unwrap();
    repaired.load(Ordering::SeqCst) > 0
}

#[test]
fn a_store_that_has_settled_opens_without_repair_after_a_crash() {
    let disk = Disk::default();
    let store = disk.open_store().unwrap();
    let version = Version(1);
    let entry = Entry {
        value: vec![1; 100],
        version,
    };
    store
        .apply(&BTreeMap::from([("a".to_owned(), Some(entry))]), version)
        .unwrap();
    assert!(needs_repair(&disk));
    store.settle().unwrap();
    // Still open: as a crash would find it.
    assert!(!needs_repair(&disk));
    let found = store.get("a").unwrap();
    assert_eq!(found.map(|entry| entry.version), Some(version));
}

#[test]
fn a_file_of_another_format_is_refused_and_left_alone() {
    let image: Vec<u8> = vec![0xa5; 8192];
    let disk = Disk::holding(image.clone());
    disk.open().unwrap_err();
    assert!(disk.0.lock().live == image);
}
