//! What our packets carry: a number by which they are found again, whatever was done to their headers.

/// Begins each payload.
const MAGIC: [u8; 4] = *b"Lock";

/// A payload with this number, of a length that depends on it.
pub fn numbered(number: u32) -> Vec<u8> {
    let mut payload = MAGIC.to_vec();
    payload.extend(number.to_be_bytes());
    // Odd lengths too: checksums must cope with them.
    payload.extend((0..number % 23).map(|byte| byte as u8));
    payload
}

/// The number of the payload in a frame, wherever it stands; `None` when there is none.
pub fn number(frame: &[u8]) -> Option<u32> {
    let at = frame.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let number = frame.get(at + 4..at + 8)?;
    Some(u32::from_be_bytes([number[0], number[1], number[2], number[3]]))
}

/// Whether the frame is an ICMP error (or a redirect), which quotes the packet that it is about.
pub fn is_refusal(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    match (byte(12), byte(13)) {
        (0x08, 0x00) => byte(23) == 1 && ![0, 8].contains(&byte(14 + usize::from(byte(14) & 15) * 4)),
        (0x86, 0xdd) => byte(20) == 58 && (byte(54) < 128 || byte(54) == 137),
        _ => false,
    }
}
