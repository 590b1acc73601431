//! SipHash-1-3 of two words: the keyed hash behind external ports and pool addresses.
//!
//! A cryptographic key makes ports unguessable from outside (RFC 6056 section 3.3.3, RFC 6888 REQ-15), and a hash in place of a random
//! number lets the host core and the loaded program be compared packet by packet. The `siphasher` crate hashes byte slices, which the
//! verifier refuses; a test holds this against the standard library's implementation.

/// Hashes two words under a key.
#[inline(always)]
#[must_use]
pub fn hash(key: [u64; 2], a: u64, b: u64) -> u64 {
    let mut v =
        [key[0] ^ 0x736f_6d65_7073_6575, key[1] ^ 0x646f_7261_6e64_6f6d, key[0] ^ 0x6c79_6765_6e65_7261, key[1] ^ 0x7465_6462_7974_6573];
    absorb(&mut v, a);
    absorb(&mut v, b);
    // The final word holds the length in bytes, 16, in its top byte.
    absorb(&mut v, 16 << 56);
    v[2] ^= 0xff;
    round(&mut v);
    round(&mut v);
    round(&mut v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;

    use super::hash;

    #[test]
    fn equals_the_standard_librarys_siphash_1_3() {
        // `DefaultHasher` is SipHash-1-3 with a zero key.
        for (a, b) in [(0, 0), (1, 2), (u64::MAX, 0x0123_4567_89ab_cdef)] {
            let mut standard = std::collections::hash_map::DefaultHasher::new();
            standard.write_u64(a);
            standard.write_u64(b);
            assert_eq!(hash([0, 0], a, b), standard.finish());
        }
    }
}
