//! IPv4 (RFC 791).

/// Header length without options, in bytes.
pub const HEADER: usize = 20;
/// The first byte of a header without options: version 4, five words.
pub const PLAIN: u32 = 0x45;
/// Offset of the TTL.
pub const TTL: usize = 8;
/// Offset of the source address.
pub const SOURCE: usize = 12;
/// More fragments, or an offset: bits of the second word, host order.
pub const FRAGMENT: u32 = 0x3fff;
/// Don't fragment: bit of the second word, host order.
pub const DONT_FRAGMENT: u32 = 0x4000;
/// Option: end of list (RFC 791 section 3.1).
pub const OPTION_END: u8 = 0;
/// Option: no operation.
pub const OPTION_NOP: u8 = 1;
/// Option: loose source route.
pub const OPTION_LSRR: u8 = 131;
/// Option: strict source route.
pub const OPTION_SSRR: u8 = 137;
