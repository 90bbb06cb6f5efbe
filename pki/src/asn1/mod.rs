//! Reading and writing DER (X.690).

mod read;
pub(crate) mod tag;
mod write;

pub use read::Malformed;
pub(crate) use read::{Element, Reader};
pub(crate) use write::Writer;
