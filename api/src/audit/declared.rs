//! Devices that the server's configuration asks for.

use std::collections::BTreeMap;

use signet_storage::Batch;

use super::DeviceRecord;
use crate::error::ApiError;
use crate::node::{Core, Node};
use crate::random::uuid;

/// A device as the operator declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredDevice {
    /// Without a slash at the end.
    pub path: String,
    pub kind: String,
    pub description: String,
    pub local: bool,
    pub options: BTreeMap<String, String>,
}

impl DeclaredDevice {
    fn is(&self, record: &DeviceRecord) -> bool {
        self.kind == record.kind
            && self.description == record.description
            && self.local == record.local
            && self.options == record.options
    }
}

/// Sees to it that all of them log before the first request is answered. One that is declared
/// differently than before starts anew, with a new salt.
///
/// # Errors
/// When a device cannot be used; the server must not go into service then.
pub(crate) async fn enable(
    node: &Node,
    core: &Core,
    declared: &[DeclaredDevice],
) -> Result<(), ApiError> {
    for device in declared {
        let path = device.path.as_str();
        let existing = core.audit.devices();
        let existing = existing.iter().find(|(other, _)| other == path);
        if let Some((_, record)) = existing {
            if device.is(record) {
                continue;
            }
            let mut batch = Batch::default();
            core.audit.prepare_removal(&mut batch, path);
            core.store.commit(batch).await?;
            core.audit.remove(path);
        }
        let record = DeviceRecord::new(
            device.kind.clone(),
            device.description.clone(),
            device.local,
            device.options.clone(),
            node.rng(),
        )?;
        let mut batch = Batch::default();
        let entry_id = uuid(node.rng())?;
        let prepared = core
            .audit
            .prepare(&mut batch, path, record, &entry_id, node.now())
            .await?;
        core.store.commit(batch).await?;
        core.audit.add(prepared);
    }
    Ok(())
}
