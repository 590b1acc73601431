//! The two hooks: the order of calls in gateway-ebpf/src/hooks/tc.rs and xdp.rs, on ordinary memory.

use std::net::IpAddr;

use gateway_ebpf::abi::{DropReason, Family, IfIndex, Reason, V4, V6};
use gateway_ebpf::decision::Forward;
use gateway_ebpf::env::{Arrival, Env};
use gateway_ebpf::fast_path;
use gateway_ebpf::frame::Buffer;
use gateway_ebpf::packet::{Headers, Packet};
use gateway_ebpf::pipeline::{self, Admitted, Scratch};
use gateway_ebpf::rewrite::{self, Places};

use super::answers::Lent;
use super::routing::ip;
use super::{HostFamily, World};

/// How a frame left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Through which interface.
    pub egress: IfIndex,
    /// True when both MACs were known; otherwise the kernel resolves `gateway`.
    pub resolved: bool,
    /// The next station; meaningful while it is not resolved.
    pub gateway: IpAddr,
}

impl World {
    /// tc ingress: the frame is rewritten when it is forwarded, and untouched otherwise.
    ///
    /// # Errors
    /// Why it is not forwarded.
    pub fn tc(&mut self, frame: &mut [u8], arrival: IfIndex) -> Result<Sent, Reason> {
        let arrival = Arrival { ifindex: arrival, now_ns: self.now_ns, ..Default::default() };
        self.tc_arrival(frame, arrival)
    }

    /// [`World::tc`] with everything that a hook may know of a packet; the world's clock does not count.
    ///
    /// # Errors
    /// Why it is not forwarded.
    pub fn tc_arrival(&mut self, frame: &mut [u8], arrival: Arrival) -> Result<Sent, Reason> {
        let result = self.run_tc(&mut Buffer(frame), arrival);
        if let Err(reason) = result {
            self.state.reasons[reason.index() as usize] += 1;
        }
        result
    }

    /// XDP: `Err(Pass)` leaves the frame, untouched, to tc. Only drops are counted, because tc sees the rest again.
    ///
    /// # Errors
    /// Why it is not forwarded here.
    pub fn xdp(&mut self, frame: &mut [u8], arrival: IfIndex) -> Result<Sent, Reason> {
        let result = self.run_xdp(&mut Buffer(frame), arrival);
        if let Err(reason @ Reason::Drop(_)) = result {
            self.state.reasons[reason.index() as usize] += 1;
        }
        result
    }

    fn lend(&mut self) -> Lent<'_> {
        Lent { policy: &self.policy, routing: &self.routing, state: &mut self.state }
    }

    fn run_tc(&mut self, frame: &mut Buffer<'_>, arrival: Arrival) -> Result<Sent, Reason> {
        match pipeline::admit(&self.lend(), frame, &arrival, Headers::All)? {
            Admitted::V4(packet) => self.decide(frame, packet, arrival),
            Admitted::V6(packet) => self.decide(frame, packet, arrival),
        }
    }

    fn decide<F: HostFamily>(&mut self, frame: &mut Buffer<'_>, packet: Packet<F>, arrival: Arrival) -> Result<Sent, Reason>
    where
        for<'m> Lent<'m>: Env<'m, F>,
    {
        let mut scratch = Scratch { packet, arrival, ..Default::default() };
        if !pipeline::decide_established(&mut self.lend(), &mut scratch) && !pipeline::decide_known(&mut self.lend(), &mut scratch)? {
            pipeline::decide_new(&mut self.lend(), &mut scratch)?;
        }
        write(frame, &packet, Places::of(&packet), &scratch.forward)
    }

    fn run_xdp(&mut self, frame: &mut Buffer<'_>, ifindex: IfIndex) -> Result<Sent, Reason> {
        let arrival = Arrival { ifindex, now_ns: self.now_ns, ..Default::default() };
        match fast_path::admit_certain(pipeline::admit(&self.lend(), frame, &arrival, Headers::Plain))? {
            Admitted::V4(packet) => write(frame, &packet, Places::plain::<V4>(), &fast_path::decide(&mut self.lend(), &packet, &arrival)?),
            Admitted::V6(packet) => write(frame, &packet, Places::plain::<V6>(), &fast_path::decide(&mut self.lend(), &packet, &arrival)?),
        }
    }
}

fn write<F: Family>(frame: &mut Buffer<'_>, packet: &Packet<F>, places: Places, forward: &Forward<F>) -> Result<Sent, Reason> {
    rewrite::whole(frame, packet, places, forward).ok_or(Reason::Drop(DropReason::WriteFailed))?;
    Ok(Sent { egress: forward.egress, resolved: forward.resolved, gateway: ip(forward.gateway) })
}
