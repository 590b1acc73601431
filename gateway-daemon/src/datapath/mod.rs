//! The kernel's BPF side: loading, attaching, tables, and what is read back from them.

mod error;
mod load;
mod maps;
mod raw;

pub use error::DatapathError;
pub use load::{Capacity, Loaded, TC, XDP};
pub use maps::{FamilyMaps, Maps, Table};
pub use raw::Raw;
