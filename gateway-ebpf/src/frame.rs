//! The first seam: a packet's bytes.
//!
//! Loads return native integers whose memory is the bytes of the wire. One bounds-checked load of a fixed size is the form that both
//! the kernel's verifier and LLVM understand; slices of packet bytes are refused by the verifier.

/// Bytes that can be read.
pub trait Frame {
    /// Length of the whole frame in bytes, its non-linear part included.
    fn len(&self) -> usize;

    /// True when there is not one byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `N` consecutive words; `None` beyond the end.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// Two bytes; `None` beyond the end.
    fn half(&self, offset: usize) -> Option<u16>;
}

/// Bytes that can be written in place. Writes beyond the end return `None` and change nothing.
pub trait FrameMut: Frame {
    /// Stores `N` consecutive words.
    fn set_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()>;

    /// Stores two bytes.
    fn set_half(&mut self, offset: usize, half: u16) -> Option<()>;
}

/// A frame in ordinary memory, for tests and user space.
#[derive(Debug)]
pub struct Buffer<'a>(pub &'a mut [u8]);

impl Frame for Buffer<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let bytes = self.0.get(offset..offset.checked_add(4 * N)?)?;
        let mut words = [0; N];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(chunk.try_into().ok()?);
        }
        Some(words)
    }

    fn half(&self, offset: usize) -> Option<u16> {
        let bytes = self.0.get(offset..offset.checked_add(2)?)?;
        Some(u16::from_ne_bytes(bytes.try_into().ok()?))
    }
}

impl FrameMut for Buffer<'_> {
    fn set_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()> {
        let bytes = self.0.get_mut(offset..offset.checked_add(4 * N)?)?;
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }

    fn set_half(&mut self, offset: usize, half: u16) -> Option<()> {
        self.0.get_mut(offset..offset.checked_add(2)?)?.copy_from_slice(&half.to_ne_bytes());
        Some(())
    }
}
