//! CRLs on disk: a head for each authority, and the lists in pieces beside it.
//!
//! The pieces of a new list are written first, the head that names them last; a crash between
//! leaves the old list in place, and the number that nobody saw is given to the next one.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use signet_pki::pem;
use signet_storage::{Batch, Expect, Record, Version, View};

use crate::error::ApiError;
use crate::secrets::pki::records::AuthorityId;

pub(super) const HEADS: &str = "crl/head/";
const DATA: &str = "crl/data/";

/// What is published for an authority. Stays when the authority goes, because numbers must not
/// repeat when it comes back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) last_number: u64,
    pub(super) fingerprint: String,
    pub(super) complete: Option<ListInfo>,
    pub(super) delta: Option<ListInfo>,
}

impl Record for Head {
    const FORMAT: u8 = 1;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListInfo {
    pub(super) number: u64,
    pub(super) this_update_secs: i64,
    pub(super) next_update_secs: i64,
    pub(super) pieces: u32,
    pub(super) bytes: u64,
}

/// What is published, in memory.
#[derive(Debug)]
pub(in crate::secrets::pki) struct Published {
    pub(super) version: Version,
    pub(super) head: Head,
    pub(in crate::secrets::pki) complete: Arc<List>,
    pub(in crate::secrets::pki) delta: Arc<List>,
}

/// A signed list.
pub(in crate::secrets::pki) struct List {
    pub(super) info: ListInfo,
    pub(in crate::secrets::pki) der: Bytes,
    pem: OnceLock<Bytes>,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl List {
    pub(super) fn new(info: ListInfo, der: Bytes) -> Self {
        let pem = OnceLock::new();
        Self { info, der, pem }
    }

    /// With a newline at the end.
    pub(in crate::secrets::pki) fn pem(&self) -> Bytes {
        self.pem
            .get_or_init(|| pem::encode("X509 CRL", &self.der).into())
            .clone()
    }

    pub(in crate::secrets::pki) fn trimmed_pem(&self) -> Bytes {
        let pem = self.pem();
        pem.slice(..pem.trim_ascii_end().len())
    }

    pub(in crate::secrets::pki) fn number(&self) -> u64 {
        self.info.number
    }
}

fn head_path(id: AuthorityId) -> String {
    format!("{HEADS}{}", id.to_hex())
}

fn list_folder(id: AuthorityId, number: u64) -> String {
    format!("{DATA}{}/{number:020}/", id.to_hex())
}

pub(super) async fn load_head(
    view: &View,
    id: AuthorityId,
) -> Result<Option<(Head, Version)>, ApiError> {
    let stored = view.record::<Head>(&head_path(id)).await?;
    Ok(stored.map(|stored| (stored.value, stored.version)))
}

/// What is published; `None` when nothing was yet.
pub(super) async fn load(view: &View, id: AuthorityId) -> Result<Option<Published>, ApiError> {
    let Some((head, version)) = load_head(view, id).await? else {
        return Ok(None);
    };
    let (Some(complete), Some(delta)) = (&head.complete, &head.delta) else {
        return Ok(None);
    };
    let complete = Arc::new(load_list(view, id, complete).await?);
    let delta = Arc::new(load_list(view, id, delta).await?);
    Ok(Some(Published {
        version,
        head,
        complete,
        delta,
    }))
}

async fn load_list(view: &View, id: AuthorityId, info: &ListInfo) -> Result<List, ApiError> {
    let folder = list_folder(id, info.number);
    let bytes = usize::try_from(info.bytes).map_err(ApiError::internal)?;
    let mut der = BytesMut::with_capacity(bytes);
    for piece in 0..info.pieces {
        let entry = view.get(&format!("{folder}{piece:010}")).await?;
        let entry = entry.ok_or_else(|| ApiError::internal("a piece of a CRL is missing"))?;
        der.extend_from_slice(&entry.value);
    }
    if der.len() != bytes {
        return Err(ApiError::internal("a stored CRL has another length"));
    }
    Ok(List::new(info.clone(), der.freeze()))
}

/// Writes the pieces of a list; the last ones go into `batch`, which the caller commits.
pub(super) async fn write_list(
    view: &View,
    batch: &mut Batch,
    id: AuthorityId,
    list: &List,
) -> Result<(), ApiError> {
    let folder = list_folder(id, list.info.number);
    // Pieces of a list that was never published.
    view.delete_prefix(&folder).await?;
    let mut pieces = list.der.chunks(PIECE_BYTES).enumerate().peekable();
    while let Some((at, piece)) = pieces.next() {
        let path = format!("{folder}{at:010}");
        if pieces.peek().is_none() {
            view.put(batch, &path, piece.to_vec());
        } else {
            let mut alone = Batch::default();
            view.put(&mut alone, &path, piece.to_vec());
            view.commit(alone).await?;
        }
    }
    Ok(())
}

pub(super) fn delete_list(view: &View, batch: &mut Batch, id: AuthorityId, info: &ListInfo) {
    let folder = list_folder(id, info.number);
    for piece in 0..info.pieces {
        view.delete(batch, &format!("{folder}{piece:010}"));
    }
}

pub(super) fn put_head(
    view: &View,
    batch: &mut Batch,
    id: AuthorityId,
    head: &Head,
    before: Option<Version>,
) -> Result<(), ApiError> {
    let path = head_path(id);
    let expect = before.map_or(Expect::Absent, Expect::Version);
    view.expect(batch, &path, expect);
    view.put_record(batch, &path, head)?;
    Ok(())
}

pub(super) fn info(
    number: u64,
    this_update_secs: i64,
    next_update_secs: i64,
    der: &[u8],
) -> Result<ListInfo, ApiError> {
    let pieces = u32::try_from(der.len().div_ceil(PIECE_BYTES)).map_err(ApiError::internal)?;
    Ok(ListInfo {
        number,
        this_update_secs,
        next_update_secs,
        pieces,
        bytes: u64::try_from(der.len()).map_err(ApiError::internal)?,
    })
}

/// No commit holds up the others for longer than this takes to write.
const PIECE_BYTES: usize = 512 * 1024;
