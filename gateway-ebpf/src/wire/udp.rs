//! UDP (RFC 768).

/// Header length, in bytes.
pub const HEADER: usize = 8;
/// Offset of the checksum.
pub const CHECKSUM: usize = 6;
