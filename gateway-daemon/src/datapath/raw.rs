//! The daemon's only `unsafe`: plain bytes in and out of BPF maps.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};
use gateway_ebpf::abi::Abi;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The BPF object, built by `build.rs`.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway.bpf.o"));

/// A type of the ABI as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Raw<T: Abi>(pub T);

// SAFETY: `Abi` types are `repr(C)` without padding, `Copy`, and valid for every bit pattern; tests in `gateway_ebpf::abi` hold their sizes.
unsafe impl<T: Abi> aya::Pod for Raw<T> {}

/// `bpf(2)` command numbers (include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// The `batch` member of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Where a batched walk through a hash map stands: the kernel's own cursor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    position: Option<u32>,
    done: bool,
}

/// Reads the next entries of a hash map, at most `keys.len()`; aya 0.14 has no batched look-up, and one system call per entry would cost
/// a sweep of a million flows a second.
///
/// Returns how many were read; 0 at the end.
///
/// # Errors
/// The kernel's: `ENOSPC` is handled by the caller's buffers being larger than any bucket.
pub fn next_batch<K: Abi + Default, V: Abi + Default>(
    map: BorrowedFd<'_>,
    cursor: &mut Cursor,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<usize> {
    if cursor.done {
        return Ok(0);
    }
    let mut next = 0u32;
    let current = cursor.position;
    let mut attr = BatchAttr {
        in_batch: current.as_ref().map_or(0, |position| std::ptr::from_ref(position) as u64),
        out_batch: std::ptr::from_mut(&mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.as_raw_fd() as u32,
        ..Default::default()
    };
    // SAFETY: the attribute is as long as said; keys and values have room for `count` elements of the map's own sizes, which the typed
    // constructors of `maps.rs` tie to `K` and `V`; the cursor of a hash map is 4 bytes (kernel/bpf/hashtab.c).
    let code = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, std::ptr::from_mut(&mut attr), size_of::<BatchAttr>()) };
    let error = io::Error::last_os_error();
    if code != 0 && error.raw_os_error() == Some(libc::ENOENT) {
        // The end; what was read before it counts.
        cursor.done = true;
    } else if code != 0 {
        return Err(error);
    }
    cursor.position = Some(next);
    Ok(attr.count as usize)
}

/// Reads one value out of bytes that the kernel wrote; `None` when the length is another.
pub fn read<T: Abi>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: the length is right, `Abi` types are valid for every bit pattern, and the read needs no alignment.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The ring buffer as something to wait for. Needs a tokio runtime.
///
/// # Errors
/// The descriptor cannot be registered.
pub fn watch(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the ring owns its descriptor and keeps it open and the same until it is dropped, which `AsyncFd` does after deregistering.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(io::Error::from)
}
