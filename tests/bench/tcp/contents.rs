//! The contents of a transfer that the receiver knows.

use std::io::Read;

use anyhow::{Context, Result, ensure};

/// The contents repeat after so many bytes: a prime, so that no segment holds what another one holds.
pub const PERIOD: usize = 65_521;
/// The same contents in every run.
const SEED: u64 = 9693;

/// What is sent again and again.
pub fn pattern() -> Vec<u8> {
    let mut chance = fastrand::Rng::with_seed(SEED);
    std::iter::repeat_with(|| chance.u8(..)).take(PERIOD).collect()
}

/// Reads to the end of the stream, which has to come after `size` bytes.
///
/// # Errors
/// When a byte is another one, or their number is.
pub fn receive(stream: &mut impl Read, pattern: &[u8], size: usize) -> Result<()> {
    let mut buffer = vec![0; pattern.len()];
    let mut received = 0;
    loop {
        let at = received % pattern.len();
        // No read goes beyond the end of the pattern.
        let count = stream.read(&mut buffer[at..]).with_context(|| format!("after {received} of {size} bytes"))?;
        if count == 0 {
            break;
        }
        ensure!(buffer[at..at + count] == pattern[at..at + count], "of the {count} bytes after {received} some are wrong");
        received += count;
    }
    ensure!(received == size, "{received} of {size} bytes arrived");
    Ok(())
}
