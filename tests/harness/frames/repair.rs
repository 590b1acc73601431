//! Makes a mutated frame's checksums right again, so that what is deeper inside is looked at. A whole sum (RFC 1071), on purpose not the
//! incremental one of the core.

/// Recomputes the checksums that can be found. Does nothing where the frame is too damaged.
pub fn repair(frame: &mut [u8]) {
    let Some(ethertype) = frame.get(12..14).map(|b| u16::from_be_bytes([b[0], b[1]])) else { return };
    match ethertype {
        0x0800 => repair_v4(&mut frame[14..]),
        0x86dd => repair_v6(&mut frame[14..]),
        _ => {}
    }
}

fn repair_v4(packet: &mut [u8]) {
    let Some(first) = packet.first() else { return };
    let header = usize::from(first & 0x0f) * 4;
    if header < 20 || packet.len() < header {
        return;
    }
    packet[10..12].fill(0);
    let sum = checksum(&[&packet[..header]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    if total < header || total > packet.len() || fragment {
        return;
    }
    let protocol = packet[9];
    let (ip, transport) = packet[..total].split_at_mut(header);
    repair_transport(protocol, &ip[12..20], transport);
}

fn repair_v6(packet: &mut [u8]) {
    if packet.len() < 40 {
        return;
    }
    let end = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    if end > packet.len() {
        return;
    }
    let next = packet[6];
    let (ip, transport) = packet[..end].split_at_mut(40);
    repair_transport(next, &ip[8..40], transport);
}

fn repair_transport(protocol: u8, addresses: &[u8], transport: &mut [u8]) {
    let (at, pseudo_header) = match protocol {
        6 => (16, true),
        17 => (6, true),
        1 => (2, false),
        58 => (2, true),
        _ => return,
    };
    let mut covered = transport.len();
    if protocol == 17 {
        let Some(length) = transport.get(4..6) else { return };
        covered = usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    if covered < at + 2 || covered > transport.len() {
        return;
    }
    let none = protocol == 17 && transport[at..at + 2] == [0, 0];
    if none {
        return;
    }
    transport[at..at + 2].fill(0);
    let tail = [&[0, protocol][..], &(covered as u16).to_be_bytes()].concat();
    let sum = if pseudo_header { checksum(&[addresses, &tail, &transport[..covered]]) } else { checksum(&[&transport[..covered]]) };
    let sum = if protocol == 17 && sum == 0 { 0xffff } else { sum };
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The Internet checksum of parts; all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
