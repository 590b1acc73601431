//! The link layer: other stations' frames, tags, other protocols.

use gateway_ebpf::abi::{IfIndex, PassReason};
use gateway_tests::frames::flag;
use gateway_tests::site::{LAN_LEG, WAN_LEG, leg_mac};

use crate::{Case, passed, v4, v6};

fn to_mac(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = v4().udp(b"data");
    frame[..6].copy_from_slice(&mac);
    frame
}

fn tagged(tags: &[[u8; 4]]) -> Vec<u8> {
    let mut frame = v4().tcp(flag::ACK, b"data");
    frame.splice(12..12, tags.concat());
    frame
}

fn ethertype(ethertype: u16) -> Vec<u8> {
    let mut frame = v4().udp(b"data");
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

/// All cases.
pub fn cases() -> Vec<Case> {
    const Q: [u8; 4] = [0x81, 0x00, 0x00, 0x07];
    const PRIORITY: [u8; 4] = [0x81, 0x00, 0xa0, 0x00];
    const AD: [u8; 4] = [0x88, 0xa8, 0x00, 0x09];
    let mut arp = vec![0xff; 6];
    arp.extend([6, 4, 10, 0, 1, 10, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([0; 20]);
    let mut arp_to_us = arp.clone();
    arp_to_us[..6].copy_from_slice(&leg_mac(LAN_LEG));
    let mut elsewhere = passed("it arrives on an interface that is in no zone", v4().udp(b"data"), PassReason::NoZone);
    elsewhere.arrival = IfIndex(77);
    let mut other_leg =
        passed("the right flow arrives on another leg, whose MAC it does not carry", v4().udp(b"data"), PassReason::OtherStation);
    other_leg.arrival = WAN_LEG;
    vec![
        passed("there is not one byte", vec![], PassReason::NotIp),
        passed("a switch flooded a frame for another station", to_mac([2, 9, 9, 9, 9, 9]), PassReason::OtherStation),
        passed("a unicast packet came by broadcast (RFC 1812 section 3.3.4)", to_mac([0xff; 6]), PassReason::OtherStation),
        passed("a unicast packet came by multicast", to_mac([1, 0, 0x5e, 0, 0, 1]), PassReason::OtherStation),
        passed("one VLAN tag belongs to a VLAN interface", tagged(&[Q]), PassReason::Vlan),
        passed("a priority tag in the bytes is still a tag", tagged(&[PRIORITY]), PassReason::Vlan),
        passed("two VLAN tags", tagged(&[AD, Q]), PassReason::Vlan),
        passed("a third VLAN tag could hide what is behind it", tagged(&[AD, Q, Q]), PassReason::Vlan),
        passed("a tag and nothing behind it", tagged(&[Q])[..16].to_vec(), PassReason::NotIp),
        passed("an ARP request is the kernel's", arp, PassReason::OtherStation),
        passed("an ARP answer is the kernel's", arp_to_us, PassReason::NotIp),
        passed("an 802.3 length in place of an EtherType", ethertype(46), PassReason::NotIp),
        passed("MPLS", ethertype(0x8847), PassReason::NotIp),
        passed("PPPoE", ethertype(0x8864), PassReason::NotIp),
        passed("multicast stays on its link", v4().to("239.1.2.3", 443).udp(b"x"), PassReason::StaysOnLink),
        passed("the limited broadcast stays on its link", v4().to("255.255.255.255", 67).udp(b"x"), PassReason::StaysOnLink),
        passed("IPv6 multicast stays on its link", v6().to("ff02::fb", 5353).udp(b"x"), PassReason::StaysOnLink),
        passed("a link-local destination stays on its link", v6().to("fe80::1", 443).udp(b"x"), PassReason::StaysOnLink),
        elsewhere,
        other_leg,
    ]
}
