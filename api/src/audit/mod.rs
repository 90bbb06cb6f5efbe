//! The audit log: every request and its answer, secrets hashed, before anything is answered.

mod client_certificate;
pub(crate) mod declared;
mod device;
mod entry;
mod fields;
mod headers;
mod options;
mod redaction;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use signet_storage::{Batch, Expect, View};

use crate::error::ApiError;
use crate::permit::Permit;
use crate::reply::Envelope;
use crate::request::Request;
use crate::time::Timestamp;

pub use declared::DeclaredDevice;
use device::Device;
pub use device::DeviceRecord;
pub use headers::HeaderSetting;
use headers::Headers;

/// What the log says of one request.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub request: &'a Request,
    pub permit: Option<&'a Permit>,
    pub error: Option<&'a ApiError>,
}

/// All audit devices.
#[derive(Debug)]
pub struct Broker {
    view: View,
    /// By path, without a slash at the end.
    devices: ArcSwap<BTreeMap<String, Arc<Device>>>,
    headers: ArcSwap<Headers>,
}

impl Broker {
    /// Opens the devices that were enabled. One that cannot be opened stays, and is tried again with
    /// every entry.
    pub async fn open(view: View) -> Result<Self, ApiError> {
        let mut devices = BTreeMap::new();
        let stored = view
            .scan_records::<DeviceRecord>(DEVICES, None, usize::MAX)
            .await?;
        for (path, stored) in stored {
            let device = Device::new(stored.value)?;
            if let Err(error) = device.open().await {
                tracing::error!(audit.path = path, %error, "audit device cannot be opened");
            }
            devices.insert(path, Arc::new(device));
        }
        let headers = view.record::<Headers>(HEADERS).await?;
        Ok(Self {
            view,
            devices: ArcSwap::from_pointee(devices),
            headers: ArcSwap::from_pointee(headers.map(|h| h.value).unwrap_or_default()),
        })
    }

    /// False: nothing has to be put together for the log.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.devices.load().is_empty()
    }

    /// # Errors
    /// When no device took the entry; the request must not go on then.
    pub async fn request(&self, event: &Event<'_>) -> Result<(), ApiError> {
        self.write(|device| entry::request(device, &self.headers.load(), event))
            .await
    }

    /// # Errors
    /// When no device took the entry; the answer must not go out then.
    pub async fn response(
        &self,
        event: &Event<'_>,
        answer: Option<&Envelope>,
    ) -> Result<(), ApiError> {
        self.write(|device| entry::response(device, &self.headers.load(), event, answer))
            .await
    }

    /// Closes and opens all files, which somebody may have renamed.
    pub async fn reopen(&self) {
        for (path, device) in self.devices.load_full().iter() {
            if let Err(error) = device.open().await {
                tracing::error!(audit.path = path, %error, "audit device cannot be reopened");
            }
        }
    }

    /// The devices by path.
    #[must_use]
    pub fn devices(&self) -> Vec<(String, DeviceRecord)> {
        let devices = self.devices.load();
        devices
            .iter()
            .map(|(path, device)| (path.clone(), device.record.clone()))
            .collect()
    }

    /// How a text looks in the log of a device; `None` where there is none.
    #[must_use]
    pub fn hash(&self, path: &str, text: &str) -> Option<String> {
        let devices = self.devices.load();
        devices.get(path).map(|device| device.redaction.hash(text))
    }

    /// Opens a new device, writes a first entry to it and adds it to `batch`; [`Self::add`] is to
    /// follow the commit.
    ///
    /// # Errors
    /// `BadRequest` for a path in use, for options that are wrong and for a file that cannot be
    /// written.
    pub async fn prepare(
        &self,
        batch: &mut Batch,
        path: &str,
        record: DeviceRecord,
        entry_id: &str,
        now: Timestamp,
    ) -> Result<PreparedDevice, ApiError> {
        if self.devices.load().contains_key(path) {
            return Err(ApiError::bad_request("path already in use"));
        }
        let key = format!("{DEVICES}{path}");
        signet_storage::check_path(&key)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        self.view.expect(batch, &key, Expect::Absent);
        self.view.put_record(batch, &key, &record)?;
        let device = Device::new(record)?;
        let opened = match device.open().await {
            Ok(()) => device.write(entry::test(entry_id, now)?).await,
            failed => failed,
        };
        match opened {
            Ok(()) => Ok(PreparedDevice {
                path: path.to_owned(),
                device: Arc::new(device),
            }),
            Err(error) => Err(ApiError::bad_request(format!(
                "sanity check failed; unable to open {:?} for writing: {error}",
                device.target()
            ))),
        }
    }

    /// Puts a device into service whose record is stored.
    pub fn add(&self, prepared: PreparedDevice) {
        let PreparedDevice { path, device } = prepared;
        self.change(|devices| {
            devices.insert(path.clone(), device.clone());
        });
    }

    /// Adds the removal of a device to `batch`; [`Self::remove`] is to follow the commit.
    pub fn prepare_removal(&self, batch: &mut Batch, path: &str) {
        if self.devices.load().contains_key(path) {
            self.view.delete(batch, &format!("{DEVICES}{path}"));
        }
    }

    pub fn remove(&self, path: &str) {
        self.change(|devices| {
            devices.remove(path);
        });
    }

    /// The request headers that are logged, by lower-case name.
    #[must_use]
    pub fn headers(&self) -> BTreeMap<String, HeaderSetting> {
        self.headers.load().0.clone()
    }

    /// Adds to `batch` that a header is logged, or no longer; [`Self::reload_headers`] is to follow
    /// the commit.
    pub async fn set_header(
        &self,
        batch: &mut Batch,
        name: &str,
        setting: Option<HeaderSetting>,
    ) -> Result<(), ApiError> {
        let stored = self.view.record::<Headers>(HEADERS).await?;
        let (mut headers, expect) = match stored {
            None => (Headers::default(), Expect::Absent),
            Some(stored) => (stored.value, Expect::Version(stored.version)),
        };
        let name = name.to_lowercase();
        match setting {
            Some(setting) => headers.0.insert(name, setting),
            None => headers.0.remove(&name),
        };
        self.view.expect(batch, HEADERS, expect);
        self.view.put_record(batch, HEADERS, &headers)?;
        Ok(())
    }

    pub async fn reload_headers(&self) -> Result<(), ApiError> {
        let stored = self.view.record::<Headers>(HEADERS).await?;
        let headers = stored.map(|stored| stored.value).unwrap_or_default();
        self.headers.store(Arc::new(headers));
        Ok(())
    }

    /// One entry on every device; enough when one of them takes it.
    async fn write(
        &self,
        line: impl Fn(&Device) -> Result<Vec<u8>, ApiError>,
    ) -> Result<(), ApiError> {
        let devices = self.devices.load_full();
        let writes = devices.iter().map(|(path, device)| {
            let line = line(device);
            async move {
                let written = device.write(line?).await;
                written.map_err(|error| {
                    ApiError::internal(format!("audit device {path} failed: {error}"))
                })
            }
        });
        let results = join_all(writes).await;
        if results.is_empty() || results.iter().any(Result::is_ok) {
            return Ok(());
        }
        Err(ApiError::internal("no audit device took the entry"))
    }

    fn change(&self, change: impl Fn(&mut BTreeMap<String, Arc<Device>>)) {
        self.devices.rcu(|devices| {
            let mut devices = BTreeMap::clone(devices);
            change(&mut devices);
            devices
        });
    }
}

/// A device that works, but is not in service yet.
#[derive(Debug)]
pub struct PreparedDevice {
    path: String,
    device: Arc<Device>,
}

const DEVICES: &str = "device/";
const HEADERS: &str = "headers";
