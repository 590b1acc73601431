//! The contents of a transfer that the receiver knows.

use std::io::Read;

use anyhow::{Context, Result, ensure};

/// The contents repeat after so many bytes: a prime, so that no segment holds what another one holds.
const PERIOD: usize = 65_521;
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

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 2 * PERIOD + 100;

    fn outcome(spoil: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let pattern = pattern();
        let mut bytes: Vec<u8> = pattern.iter().copied().cycle().take(BYTES).collect();
        spoil(&mut bytes);
        receive(&mut bytes.as_slice(), &pattern, BYTES)
    }

    #[test]
    fn what_is_whole_counts() {
        outcome(|_| {}).unwrap();
    }

    #[test]
    fn a_turned_bit_a_missing_byte_and_one_too_many_are_noticed() {
        let last = outcome(|bytes| *bytes.last_mut().unwrap() ^= 1).unwrap_err().to_string();
        assert!(last.contains("some are wrong"), "{last}");
        let missing = outcome(|bytes| drop(bytes.pop())).unwrap_err().to_string();
        assert!(missing.contains("131141 of 131142 bytes arrived"), "{missing}");
        let within = outcome(|bytes| drop(bytes.remove(PERIOD + 7))).unwrap_err().to_string();
        assert!(within.contains("some are wrong"), "{within}");
        let more = outcome(|bytes| bytes.push(bytes[100])).unwrap_err().to_string();
        assert!(more.contains("131143 of 131142 bytes arrived"), "{more}");
    }
}
