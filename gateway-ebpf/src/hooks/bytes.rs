//! Packet bytes by direct access: one bounds check and one load, the form the verifier follows.

use gateway_ebpf::frame::{Frame, FrameMut};

/// The verifier follows packet offsets of 16 bits at most. No header that is looked at stands as far back as this: six extension headers of
/// 2 KiB each.
const MAX_OFFSET: usize = 0x3fff;

/// The linear part of a packet.
pub struct Bytes {
    data: usize,
    end: usize,
    len: usize,
}

impl Bytes {
    /// `data` and `end` must be the context's fields, read after the last helper that may move them; `len` is the whole frame's length.
    #[inline(always)]
    pub fn new(data: usize, end: usize, len: usize) -> Self {
        Self { data, end, len }
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.data + offset;
        if start + size_of::<T>() > self.end {
            return None;
        }
        Some(start as *mut T)
    }
}

impl Frame for Bytes {
    #[inline(always)]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        // SAFETY: `at` has checked the bounds, which the verifier checks once more. BPF on the supported machines loads from any address.
        self.at::<[u32; N]>(offset).map(|p| unsafe { *p })
    }

    #[inline(always)]
    fn half(&self, offset: usize) -> Option<u16> {
        // SAFETY: as above.
        self.at::<u16>(offset).map(|p| unsafe { *p })
    }
}

impl FrameMut for Bytes {
    #[inline(always)]
    fn set_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()> {
        // SAFETY: as above; the context's packet memory is writable in both hooks.
        self.at::<[u32; N]>(offset).map(|p| unsafe { *p = words })
    }

    #[inline(always)]
    fn set_half(&mut self, offset: usize, half: u16) -> Option<()> {
        // SAFETY: as above.
        self.at::<u16>(offset).map(|p| unsafe { *p = half })
    }
}
