//! XDP: established flows and certain drops, of packets without IPv4 options and IPv6 extension headers. Everything else is passed on
//! unmodified, and tc decides.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use gateway_ebpf::abi::{DropReason, IfIndex, Reason, V4};
use gateway_ebpf::env::Arrival;
use gateway_ebpf::fast_path;
use gateway_ebpf::packet::{Headers, Packet};
use gateway_ebpf::pipeline::{self, Admitted};
use gateway_ebpf::rewrite::{self, Places};

use super::bytes::Bytes;
use super::kernel::Kernel;
use super::tables::Tables;
use super::{count, now};

/// The XDP program. `frags`: it attaches where the driver needs several buffers for a frame; headers are in the first.
#[xdp(frags)]
pub fn gateway_xdp(ctx: XdpContext) -> u32 {
    match run(&ctx) {
        Ok(action) => action,
        Err(reason @ Reason::Drop(_)) => {
            count(reason.index());
            XDP_DROP
        }
        // Counted by tc, which sees the packet next.
        Err(_) => XDP_PASS,
    }
}

#[inline(always)]
fn run(ctx: &XdpContext) -> Result<u32, Reason> {
    let arrival = Arrival { ifindex: IfIndex(ctx.ingress_ifindex() as u32), now_ns: now(), gso_size: 0, vlan: 0 };
    // Opaque to LLVM, which would otherwise prove bounds checks away by it: the verifier does not follow that proof.
    let len = core::hint::black_box(ctx.data_end() - ctx.data());
    let frame = Bytes::new(ctx.data(), ctx.data_end(), len);
    match fast_path::admit_certain(pipeline::admit(&Kernel::<V4>::new(ctx.as_ptr()), &frame, &arrival, Headers::Plain))? {
        Admitted::V4(packet) => carry_out(ctx, frame, &packet, &arrival),
        Admitted::V6(packet) => carry_out(ctx, frame, &packet, &arrival),
    }
}

#[inline(always)]
fn carry_out<F: Tables>(ctx: &XdpContext, mut frame: Bytes, packet: &Packet<F>, arrival: &Arrival) -> Result<u32, Reason> {
    let forward = fast_path::decide(&mut Kernel::<F>::new(ctx.as_ptr()), packet, arrival)?;
    rewrite::whole(&mut frame, packet, Places::plain::<F>(), &forward).ok_or(Reason::Drop(DropReason::WriteFailed))?;
    // SAFETY: a helper of plain numbers.
    Ok(unsafe { bpf_redirect(forward.egress.0, 0) } as u32)
}
