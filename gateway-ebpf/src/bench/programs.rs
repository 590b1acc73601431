//! The bench's programs and their maps.
#![allow(unsafe_code)]

mod forward;
mod stamped;
mod structures;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::{bpf_csum_diff, bpf_redirect};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use gateway_ebpf::bench::{
    COUNTERS as COUNTERS_LEN, Config, Counter, FrameV4, FrameV6, Layout, Numbers, answer, has_right_checksums, has_right_headers, is_ours,
    is_right_reply, mark, stamp,
};

#[map]
pub static BENCH: Array<Config> = Array::with_max_entries(1, 0);
#[map]
pub static COUNTERS: PerCpuArray<[u64; COUNTERS_LEN]> = PerCpuArray::with_max_entries(1, 0);
/// The flow of the generator's next frame.
#[map]
pub static NEXT: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Parts in which a tail is summed: the kernel's helper took 512 bytes at a time before 6.13 (net/core/filter.c, `bpf_csum_diff`).
const PARTS: usize = 3;

#[inline(always)]
fn count(counter: Counter) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: the element lives as long as the program, and only this CPU writes it.
        unsafe { (*counters)[counter as usize] += 1 };
    }
}

/// Counts a frame, and adds its mark.
#[inline(always)]
fn count_marked<L: Layout>(counter: Counter, marks: Counter, frame: &L) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: as in `count`.
        let counters = unsafe { &mut *counters };
        counters[counter as usize] += 1;
        counters[marks as usize] = counters[marks as usize].wrapping_add(mark(frame));
    }
}

/// How many frames the generator has made: the next one's serial number, in its last 16 bits.
#[inline(always)]
fn serial() -> u16 {
    // SAFETY: as in `count`.
    COUNTERS.get_ptr(0).map_or(0, |counters| unsafe { (*counters)[Counter::Sent as usize] as u16 })
}

/// Headers and numbers, when they are there.
#[inline(always)]
fn frame<L: Layout>(begin: usize, end: usize) -> Option<*mut L> {
    if begin + L::WORDS * 4 > end {
        return None;
    }
    Some(begin as *mut L)
}

/// The sum of a large frame's tail; 0 of a small one. `None`: it is cut off.
#[inline(always)]
fn tail_sum<L: Layout>(begin: usize, end: usize, config: &Config) -> Option<u32> {
    if config.large == 0 {
        return Some(0);
    }
    let begin = begin + L::WORDS * 4;
    if begin + L::TAIL > end {
        return None;
    }
    let size = const { (L::TAIL - 2) / PARTS };
    let mut sum = 0;
    let mut part = 0;
    while part < PARTS {
        // SAFETY: the bounds were checked; the size is a multiple of four.
        let next = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, (begin + part * size) as *mut u32, size as u32, sum) };
        sum = next as u32;
        part += 1;
    }
    // SAFETY: within the bounds.
    let last = unsafe { ((begin + L::TAIL - 2) as *const u16).read_unaligned() };
    let total = sum as u64 + last as u64;
    Some((total & 0xffff_ffff) as u32 + (total >> 32) as u32)
}

#[inline(always)]
fn redirect(to: u32) -> u32 {
    // SAFETY: a helper of plain numbers.
    unsafe { bpf_redirect(to, 0) as u32 }
}

/// The numbers of the next flow of the round.
#[inline(always)]
fn next_flow(config: &Config) -> Option<Numbers> {
    let next = NEXT.get_ptr_mut(0)?;
    // SAFETY: as in `count`.
    let before = unsafe { *next };
    // The round before may have had more flows.
    let flow = if before < config.flows { before } else { 0 };
    let after = flow.wrapping_add(config.stride);
    // SAFETY: as in `count`.
    unsafe { *next = if after >= config.flows { after.wrapping_sub(config.flows) } else { after } };
    Some(Numbers::of(config.first.wrapping_add(flow)))
}

#[inline(always)]
fn generate<L: Layout>(ctx: &XdpContext) -> Option<u32> {
    let frame = frame::<L>(ctx.data(), ctx.data_end())?;
    let config = BENCH.get(0)?;
    let numbers = next_flow(config)?;
    let stamped: L = stamp(config, numbers, serial());
    count_marked(Counter::Sent, Counter::SentMarks, &stamped);
    // SAFETY: `frame` has checked the bounds.
    unsafe { *frame = stamped };
    Some(redirect(config.generate_to))
}

/// Makes one IPv4 frame of the next flow and sends it. Run by `BPF_PROG_TEST_RUN` with live frames.
#[xdp]
pub fn bench_generate(ctx: XdpContext) -> u32 {
    generate::<FrameV4>(&ctx).unwrap_or(XDP_ABORTED)
}

/// The same for IPv6.
#[xdp]
pub fn bench_generate_v6(ctx: XdpContext) -> u32 {
    generate::<FrameV6>(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn sink<L: Layout>(ctx: &XdpContext) -> Option<u32> {
    let frame = frame::<L>(ctx.data(), ctx.data_end())?;
    let config = BENCH.get(0)?;
    // SAFETY: `frame` has checked the bounds.
    let arrived = unsafe { &mut *frame };
    if !is_ours(arrived) {
        return None;
    }
    let right = match tail_sum::<L>(ctx.data(), ctx.data_end(), config) {
        Some(tail) => has_right_checksums(arrived, tail),
        None => false,
    };
    if !right {
        count(Counter::BadChecksum);
        return Some(XDP_DROP);
    }
    if !has_right_headers(arrived, config) {
        count(Counter::BadHeader);
        return Some(XDP_DROP);
    }
    count_marked(Counter::Received, Counter::ReceivedMarks, arrived);
    if config.return_to == 0 {
        return Some(XDP_DROP);
    }
    *arrived = answer(arrived);
    Some(redirect(config.return_to))
}

/// Verifies and counts what arrives, and drops it or returns it to its sender.
#[xdp]
pub fn bench_sink(ctx: XdpContext) -> u32 {
    sink::<FrameV4>(&ctx).unwrap_or(XDP_PASS)
}

/// The same for IPv6.
#[xdp]
pub fn bench_sink_v6(ctx: XdpContext) -> u32 {
    sink::<FrameV6>(&ctx).unwrap_or(XDP_PASS)
}

#[inline(always)]
fn reply<L: Layout>(ctx: &XdpContext) -> Option<u32> {
    let frame = frame::<L>(ctx.data(), ctx.data_end())?;
    let config = BENCH.get(0)?;
    // SAFETY: `frame` has checked the bounds.
    let arrived = unsafe { &*frame };
    if !is_ours(arrived) {
        return None;
    }
    let right = match tail_sum::<L>(ctx.data(), ctx.data_end(), config) {
        Some(tail) => is_right_reply(arrived, config, tail),
        None => false,
    };
    if right {
        count_marked(Counter::Replies, Counter::ReplyMarks, arrived);
    } else {
        count(Counter::BadReplies);
    }
    Some(XDP_DROP)
}

/// Verifies and counts the replies at the generator's end, and drops them.
#[xdp]
pub fn bench_reply(ctx: XdpContext) -> u32 {
    reply::<FrameV4>(&ctx).unwrap_or(XDP_PASS)
}

/// The same for IPv6.
#[xdp]
pub fn bench_reply_v6(ctx: XdpContext) -> u32 {
    reply::<FrameV6>(&ctx).unwrap_or(XDP_PASS)
}

/// The program's own context.
#[inline(always)]
fn context(ctx: &impl EbpfContext) -> *mut c_void {
    ctx.as_ptr()
}
