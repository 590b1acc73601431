//! One way into every reason to drop a packet: none forwards, none touches the frame, and none leaves anything in a table.

use std::net::Ipv4Addr;

use gateway_ebpf::abi::{Action, DropReason, IfIndex, Protocol, Reason, Rule, RuleFlags};
use gateway_tests::frames::{flag, repair};
use gateway_tests::site::{self, ANY, LAN, LAN_LEG, WAN, WAN_ADDRESS, WAN_LEG};
use gateway_tests::world::{Capacities, Policy, World, forward, masquerade, refuse, reject};

use crate::talk::{REMOTE, established, exchange_udp, handshake, outbound, refused, sent};

/// A world in which the frame will be dropped for the reason; `None` where no frame can bring it about, or where the drop is meant to
/// change a table.
fn arranged(reason: DropReason) -> Option<(World, Vec<u8>, IfIndex)> {
    let mut world = site::world(&site::policy());
    let on_lan = |world, frame| Some((world, frame, LAN_LEG));
    let harmed = |at: usize, value: u8| {
        let mut frame = outbound(1).udp(b"data");
        frame[at] = value;
        repair(&mut frame);
        frame
    };
    match reason {
        DropReason::Truncated => on_lan(world, outbound(1).udp(b"data")[..40].to_vec()),
        DropReason::BadIpHeader => on_lan(world, harmed(14, 0x44)),
        DropReason::BadIpChecksum => {
            let mut frame = outbound(1).udp(b"");
            frame[24] ^= 0xff;
            on_lan(world, frame)
        }
        DropReason::IpOptions => {
            let mut frame = outbound(1).udp(b"");
            frame.splice(34..34, [131, 4, 4, 0]);
            (frame[14], frame[17]) = (0x46, 32);
            repair(&mut frame);
            on_lan(world, frame)
        }
        DropReason::ExtensionHeaders => {
            let frame = site::path(LAN_LEG, "fd00:1::10", 1, "2001:db8:9::1", 1).raw(43, &[17, 0, 0, 1, 0, 0, 0, 0]);
            on_lan(world, frame)
        }
        DropReason::BadTcpHeader => on_lan(world, outbound(1).tcp(flag::SYN | flag::FIN, b"")),
        DropReason::BadUdpHeader => on_lan(world, harmed(39, 3)),
        DropReason::BadIcmpHeader => on_lan(world, outbound(1).raw(1, &[8, 0])),
        DropReason::Land => on_lan(world, outbound(1).from(REMOTE).udp(b"")),
        DropReason::MartianSource => on_lan(world, outbound(1).from("127.0.0.1").udp(b"")),
        DropReason::MartianDestination => on_lan(world, outbound(1).to("127.0.0.1", 1).udp(b"")),
        DropReason::SourceIsSelf => on_lan(world, outbound(1).from("10.0.1.1").udp(b"")),
        DropReason::SourceValidation => on_lan(world, outbound(1).from("10.0.2.10").udp(b"")),
        DropReason::Fragment => on_lan(world, harmed(20, 0x20)),
        DropReason::IcmpType => on_lan(world, outbound(1).raw(1, &[3, 1, 0, 0, 0, 0, 0, 0])),
        DropReason::Protocol => on_lan(world, outbound(1).raw(47, &[0; 8])),
        DropReason::TcpNoFlow => on_lan(world, outbound(1).tcp(flag::ACK, b"")),
        DropReason::NoRoute => {
            let (path, _) = established(&mut world);
            world.routing.routes.retain(|route| route.to.prefix_len() != 0);
            world.routes_changed();
            on_lan(world, path.udp(b""))
        }
        DropReason::NoZone => {
            let mut policy = site::policy();
            policy.interfaces.retain(|interface| interface.index != WAN_LEG);
            on_lan(site::world(&policy), outbound(1).udp(b""))
        }
        DropReason::RuleDrop => on_lan(firewall(vec![refuse(1, LAN, WAN)]), outbound(1).udp(b"")),
        DropReason::RuleReject => on_lan(firewall(vec![reject(1, LAN, WAN)]), outbound(1).udp(b"")),
        DropReason::DefaultDrop => on_lan(firewall(vec![]), outbound(1).udp(b"")),
        DropReason::DefaultReject => {
            on_lan(site::world(&Policy { default: Action::REJECT, firewall: vec![], ..site::policy() }), outbound(1).udp(b""))
        }
        DropReason::RuleRate => {
            let rated = Rule {
                action: Action::ACCEPT,
                flags: RuleFlags(RuleFlags::RATE),
                rate_burst: 1,
                rate_interval_us: 1000,
                ..refuse(1, LAN, ANY)
            };
            let mut world = firewall(vec![rated]);
            let _ = sent(&mut world, outbound(1).udp(b""), LAN_LEG);
            on_lan(world, outbound(2).udp(b""))
        }
        DropReason::HalfOpenTableFull => on_lan(sized(Capacities { half_open: 1, ..Default::default() }), outbound(1).udp(b"")),
        DropReason::MappingTableFull => on_lan(sized(Capacities { mappings: 0, ..Default::default() }), outbound(1).udp(b"")),
        DropReason::NoFreePort => {
            let mut rule = masquerade(10, LAN, WAN);
            (rule.target.port_first, rule.target.port_last) = (5000, 5000);
            let mut world = site::world(&Policy { source_nat: vec![rule], ..site::policy() });
            let _ = exchange_udp(&mut world, outbound(6000), LAN_LEG);
            on_lan(world, outbound(6001).udp(b""))
        }
        DropReason::HostQuota => on_lan(site::world(&Policy { flows_per_host: 0, ..site::policy() }), outbound(1).udp(b"")),
        DropReason::NoExternalAddress => {
            let mut policy = site::policy();
            policy.interfaces.iter_mut().for_each(|interface| interface.v4 = Default::default());
            on_lan(site::world(&policy), outbound(1).udp(b""))
        }
        DropReason::TupleConflict => {
            let rule = forward(20, WAN, Protocol::TCP, WAN_ADDRESS, 8443, (Ipv4Addr::new(10, 0, 2, 10), 443));
            let mut world = site::world(&Policy { destination_nat: vec![rule], ..site::policy() });
            let client = site::path(WAN_LEG, "203.0.113.20", 5000, "203.0.113.1", 8443);
            let _ = handshake(&mut world, client, WAN_LEG);
            Some((world, client.to("10.0.2.10", 443).tcp(flag::SYN, b""), WAN_LEG))
        }
        DropReason::TooBig => {
            let mut frame = outbound(1).udp(&[0; 1480]);
            frame[20] = 0;
            repair(&mut frame);
            on_lan(world, frame)
        }
        DropReason::HopLimit => {
            let (_, there) = established(&mut world);
            Some((world, there.back().ttl(1).udp(b""), WAN_LEG))
        }
        DropReason::State => on_lan(world, outbound(1).echo_reply(b"")),
        DropReason::NotReady => {
            world.policy.config.policy.0 = 0;
            on_lan(world, outbound(1).udp(b""))
        }
        // These two are meant to change a table, and are tested in `generation` and `flow`: the flow ends; the flow stays half-open and
        // has counted the packet.
        DropReason::PolicyChanged | DropReason::FlowTableFull => None,
        // The frame was long enough when it was parsed: only another CPU's hand could make it shorter.
        DropReason::WriteFailed => None,
    }
}

fn firewall(rules: Vec<Rule>) -> World {
    site::world(&Policy { firewall: rules, ..site::policy() })
}

fn sized(capacities: Capacities) -> World {
    World::new(&site::policy(), site::routing(), capacities)
}

#[test]
fn a_dropped_packet_leaves_nothing_behind_whatever_the_reason() {
    let mut tried = 0;
    for reason in DropReason::ALL {
        let Some((mut world, frame, arrival)) = arranged(*reason) else { continue };
        assert_eq!(refused(&mut world, frame, arrival), Reason::Drop(*reason));
        tried += 1;
    }
    assert_eq!(tried, DropReason::ALL.len() - 3);
}
