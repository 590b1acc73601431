//! TCP (RFC 9293).

/// Header length without options, in bytes.
pub const HEADER: usize = 20;
/// Offset of the checksum.
pub const CHECKSUM: usize = 16;
/// Flag: no more data from the sender.
pub const FIN: u8 = 0x01;
/// Flag: synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Flag: reset.
pub const RST: u8 = 0x04;
/// Flag: push.
pub const PSH: u8 = 0x08;
/// Flag: acknowledgement.
pub const ACK: u8 = 0x10;
/// Flag: urgent.
pub const URG: u8 = 0x20;

/// Whether a stack can have sent this combination (the table of the kernel's net/netfilter/nf_conntrack_proto_tcp.c).
#[inline(always)]
#[must_use]
pub const fn valid_flags(flags: u8) -> bool {
    let control = flags & (FIN | SYN | RST | ACK);
    let urgent = flags & URG != 0;
    match control {
        SYN | ACK => true,
        RST => !urgent,
        _ if control == SYN | ACK => !urgent,
        _ if control == RST | ACK => !urgent,
        _ if control == FIN | ACK => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_refused_and_ordinary_segments_are_not() {
        for flags in [SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, FIN | PSH | ACK] {
            assert!(valid_flags(flags), "{flags:#x}");
        }
        for flags in [0, FIN, SYN | FIN, SYN | RST, FIN | RST, FIN | PSH | URG, 0x3f] {
            assert!(!valid_flags(flags), "{flags:#x}");
        }
    }
}
