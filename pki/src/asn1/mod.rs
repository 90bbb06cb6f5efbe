//! Reading and writing DER (X.690).

mod read;
mod write;

pub use read::Malformed;
pub(crate) use read::{Element, Reader, tag};
pub(crate) use write::Writer;
