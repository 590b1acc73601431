//! IPv6 (RFC 8200).

/// Header length, in bytes.
pub const HEADER: usize = 40;
/// Offset of the word that holds payload length, next header and hop limit.
pub const LENGTH_WORD: usize = 4;
/// Extension: hop-by-hop options (section 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Extension: routing (section 4.4).
pub const ROUTING: u8 = 43;
/// Extension: fragment (section 4.5).
pub const FRAGMENT: u8 = 44;
/// Extension: authentication (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// Extension: destination options (section 4.6).
pub const DESTINATION_OPTIONS: u8 = 60;
