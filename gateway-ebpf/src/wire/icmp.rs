//! ICMP (RFC 792) and ICMPv6 (RFC 4443): the echo messages.

/// Header length of an echo message, in bytes.
pub const HEADER: usize = 8;
/// Offset of the checksum.
pub const CHECKSUM: usize = 2;
/// Offset of the identifier.
pub const IDENTIFIER: usize = 4;
