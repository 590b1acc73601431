//! Packets whose headers do not lie in one piece, as drivers may deliver them, are understood all the same.

use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

use gateway_tests::frames::address;
use gateway_tests::lab::{GATEWAY_PODS, SERVER};
use gateway_tests::{Gateway, Lab};

use crate::bad_packets::way_out;
use crate::bench::{Mode, in_a_lab};
use crate::policy::Policy;
use crate::traffic::answers;

in_a_lab! { a_packet_with_its_headers_in_pages_is_forwarded }

/// include/uapi/linux/if_packet.h: each packet that is sent begins with a `struct virtio_net_hdr`.
const WITH_VNET_HEADER: &str = "setsockopt=263:15:i1";
/// The kernel lays a packet out in pages only if one page does not hold it (net/packet/af_packet.c, `packet_alloc_skb`).
const LONG: usize = 5000;

fn a_packet_with_its_headers_in_pages_is_forwarded(lab: &Lab) {
    for (room, links) in [(&lab.vm1, "eth0"), (&lab.switch, "br0 vm1 overlay0"), (&lab.gateway, "eth0"), (&lab.pods, "pods0")] {
        for link in links.split(' ') {
            room.ip(&format!("link set {link} mtu 9000")).unwrap();
        }
    }
    // GRO, and what a bridge does for a filter, would make the headers one piece again.
    for (room, link) in [(&lab.switch, "vm1"), (&lab.switch, "overlay0"), (&lab.gateway, "eth1")] {
        room.run("ethtool", &["-K", link, "gro", "off"]).unwrap();
    }
    let _ = lab.switch.sysctl("net/bridge/bridge-nf-call-iptables", "0");
    // A veth with an XDP program puts the headers into one piece for it.
    let policy = Policy::seed().replace("mtu = 1400", "mtu = 9000").mode(Mode::Tc);
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    assert!(answers(&lab.vm1, SERVER));

    let server = lab.pods.within(|| UdpSocket::bind((SERVER, 9))).unwrap().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let path = way_out(lab);
    let wanted: Vec<u8> = (0..LONG).map(|n| (n % 251) as u8).collect();
    // As many bytes in one piece as the Ethernet header has, one more, up to the middle of the UDP header.
    for in_one_piece in [14, 15, 33, 34, 38] {
        let mut packet = tempfile::NamedTempFile::new().unwrap();
        // No flags, no segmentation, and the length of the headers, which is what the kernel puts into one piece.
        packet.write_all(&[0, 0, in_one_piece, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        packet.write_all(&path.udp(&wanted)).unwrap();
        let file = format!("OPEN:{}", packet.path().display());
        lab.vm1.run("socat", &["-u", "-b", "65536", &file, &format!("INTERFACE:eth0,{WITH_VNET_HEADER}")]).unwrap();
        let mut came = vec![0; LONG + 1];
        let (length, from) = server.recv_from(&mut came).unwrap_or_else(|error| {
            panic!("{in_one_piece} bytes in one piece: {error}; truncated: {:?}", gateway.reason("drop", "truncated"))
        });
        assert!(came[..length] == wanted, "{in_one_piece} bytes in one piece: it came changed");
        assert_eq!(from.ip(), address(GATEWAY_PODS), "it is translated");
    }
}
