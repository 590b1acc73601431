//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! One's complement sums do not depend on byte order (RFC 1071 section 2), so everything here works on native integers loaded from the
//! wire, without a swap.

/// Folds carries back in; the result is a one's complement sum of 16 bits.
#[inline(always)]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    // Added to itself with its halves exchanged, a number has in its upper half the sum of both halves, carry included (as `csum_fold` of
    // include/asm-generic/checksum.h does it).
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    let sum = sum.wrapping_add(sum.rotate_left(16)) >> 16;
    sum as u16
}

/// The sum of words, not yet folded.
#[inline(always)]
#[must_use]
pub const fn sum<const N: usize>(words: [u32; N]) -> u64 {
    let mut total = 0u64;
    let mut n = 0;
    while n < N {
        total += words[n] as u64;
        n += 1;
    }
    total
}

/// What replacing `old` by `new` adds to a sum (RFC 1624 equation 3: `~m + m'`), not yet folded.
#[inline(always)]
#[must_use]
pub const fn difference<const N: usize>(old: [u16; N], new: [u16; N]) -> u64 {
    let mut total = 0u64;
    let mut n = 0;
    while n < N {
        total += (!old[n]) as u64 + new[n] as u64;
        n += 1;
    }
    total
}

/// [`difference`] of the two addresses and a sum that takes their place, folded once: the sum of complements is the complement of the sum.
#[inline(always)]
#[must_use]
pub const fn replacement(new: u64, source: [u32; 4], destination: [u32; 4]) -> u16 {
    let mut total = new;
    let mut n = 0;
    while n < 4 {
        total += (!source[n]) as u64 + (!destination[n]) as u64;
        n += 1;
    }
    fold(total)
}

/// The stored checksum after its data changed by `delta`, a sum of few words (RFC 1624 equation 3: `~(~HC + delta)`).
#[inline(always)]
#[must_use]
pub const fn update(stored: u16, delta: u64) -> u16 {
    !fold((!stored) as u64 + delta)
}

/// [`update`] for UDP: a checksum of zero means "none" and stays (RFC 768), and none is ever produced by accident.
#[inline(always)]
#[must_use]
pub const fn update_udp(stored: u16, delta: u64) -> u16 {
    if stored == 0 {
        return 0;
    }
    match update(stored, delta) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(bytes: &[u16]) -> u16 {
        !fold(bytes.iter().map(|half| u64::from(*half)).sum())
    }

    proptest! {
        #[test]
        fn an_incremental_update_equals_a_full_sum(mut data in proptest::collection::vec(any::<u16>(), 1..40), at in any::<prop::sample::Index>(), new in any::<u16>()) {
            let at = at.index(data.len());
            let stored = full(&data);
            let delta = difference([data[at]], [new]);
            data[at] = new;
            // 0x0000 and 0xffff are the same number in one's complement; RFC 1624 chooses the one that RFC 1071 computes unless all data is zero.
            if data.iter().any(|half| *half != 0) {
                prop_assert_eq!(update(stored, delta), full(&data));
            }
        }

        #[test]
        fn a_udp_checksum_of_zero_stays_and_is_never_produced(stored: u16, delta in 0u64..0x1_ffff) {
            let updated = update_udp(stored, delta);
            prop_assert_eq!(updated == 0, stored == 0);
        }

        #[test]
        fn folding_never_loses_a_carry(words in proptest::collection::vec(any::<u32>(), 0..20)) {
            let total: u64 = words.iter().map(|w| u64::from(*w)).sum();
            let halves: u64 = words.iter().map(|w| u64::from(w >> 16) + u64::from(w & 0xffff)).sum();
            prop_assert_eq!(fold(total) % 0xffff, (halves % 0xffff) as u16);
        }
    }
}
