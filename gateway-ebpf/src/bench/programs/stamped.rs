//! One program at a time, under `BPF_PROG_TEST_RUN` with repetitions.
//!
//! The kernel does not reset the frame between repetitions, so a program that rewrites it would see its own work. These stamp a fresh
//! frame and then jump (tail call) into the program under measurement; the same with [`bench_nothing`] as the target is what has to be
//! subtracted.

use aya_ebpf::bindings::TC_ACT_OK;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_ebpf::bench::{Counter, FrameV4, FrameV6, Layout, has_right_hop, stamp};

use super::{BENCH, count, frame, next_flow};

/// The XDP program under measurement.
#[map]
static TARGET_XDP: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// The tc program under measurement.
#[map]
static TARGET_TC: ProgramArray = ProgramArray::with_max_entries(1, 0);

#[inline(always)]
fn fresh<L: Layout>(begin: usize, end: usize) -> Option<()> {
    let frame = frame::<L>(begin, end)?;
    let config = BENCH.get(0)?;
    let numbers = next_flow(config)?;
    // What the repetition before has left: where one answer is not like the others, the kernel does not tell.
    // SAFETY: `frame` has checked the bounds.
    if has_right_hop(unsafe { &*frame }, config.ttl) {
        count(Counter::Left);
    }
    // SAFETY: as above.
    unsafe { *frame = stamp(config, numbers, 0) };
    Some(())
}

#[inline(always)]
fn xdp<L: Layout>(ctx: &XdpContext) -> u32 {
    if fresh::<L>(ctx.data(), ctx.data_end()).is_some() {
        // SAFETY: the table holds XDP programs only; the call returns only if the entry is empty.
        let _ = unsafe { TARGET_XDP.tail_call(ctx, 0) };
    }
    XDP_ABORTED
}

#[inline(always)]
fn tc<L: Layout>(ctx: &TcContext) -> i32 {
    if fresh::<L>(ctx.data(), ctx.data_end()).is_some() {
        // SAFETY: the table holds tc programs only.
        let _ = unsafe { TARGET_TC.tail_call(ctx, 0) };
    }
    // Nothing under measurement answers so.
    -2
}

/// XDP, IPv4. `frags`, as the gateway's program is: the kernel lets only such programs share a table.
#[xdp(frags)]
pub fn bench_stamp_xdp(ctx: XdpContext) -> u32 {
    xdp::<FrameV4>(&ctx)
}

/// XDP, IPv6.
#[xdp(frags)]
pub fn bench_stamp_xdp_v6(ctx: XdpContext) -> u32 {
    xdp::<FrameV6>(&ctx)
}

/// tc, IPv4.
#[classifier]
pub fn bench_stamp_tc(ctx: TcContext) -> i32 {
    tc::<FrameV4>(&ctx)
}

/// tc, IPv6.
#[classifier]
pub fn bench_stamp_tc_v6(ctx: TcContext) -> i32 {
    tc::<FrameV6>(&ctx)
}

/// The target that costs nothing.
#[xdp(frags)]
pub fn bench_nothing(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// The same for tc.
#[classifier]
pub fn bench_nothing_tc(_ctx: TcContext) -> i32 {
    TC_ACT_OK
}
