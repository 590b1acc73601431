//! Neighbours learn at once where the gateway's addresses are. None of them sends anything meanwhile: what they believe can only change
//! because they are told.

use std::time::Duration;

use gateway_tests::lab::{GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, Namespace};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::bench::in_a_lab;
use crate::policy::Policy;
use crate::traffic::{PATIENCE, answers};

in_a_lab! {
    a_gateway_that_starts_is_found_where_it_is
    an_address_that_moves_to_the_gateway_is_followed
    a_port_with_another_mac_is_followed
    a_link_that_returns_is_announced
    a_driver_that_asks_to_notify_peers_has_every_address_announced
    an_ipv6_address_is_announced_once_it_is_the_gateways_own
    interfaces_in_no_zone_are_not_announced
}

/// The MAC of a gateway that is no more.
const OLD: &str = "02:00:00:00:99:99";

/// Longer than between two rounds of announcements.
const QUIET: Duration = Duration::from_millis(2500);

/// Lets the neighbour believe that the address is at [`OLD`], as after a failover or a move.
fn mislead(neighbour: &Namespace, address: &str) {
    neighbour.ip(&format!("neigh replace {address} lladdr {OLD} dev eth0 nud stale")).unwrap();
}

/// Where the neighbour believes the address to be.
fn believes(neighbour: &Namespace, address: &str) -> String {
    let shown = neighbour.run("ip", &["neigh", "show", address]).unwrap();
    shown.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).unwrap_or("nowhere").to_owned()
}

fn mac(gateway: &Gateway<'_>, interface: &str) -> String {
    gateway.interface(interface).unwrap()["mac"].as_str().unwrap().to_owned()
}

#[track_caller]
fn learns(neighbour: &Namespace, address: &str, mac: &str) {
    let learned = wait_until(PATIENCE, format_args!("{address} to be believed at {mac}"), || Ok(believes(neighbour, address) == mac));
    learned.unwrap_or_else(|error| panic!("{error}; it is believed at {}", believes(neighbour, address)));
}

fn a_gateway_that_starts_is_found_where_it_is(lab: &Lab) {
    for vm in [&lab.vm1, &lab.vm2] {
        mislead(vm, GATEWAY_OVERLAY);
        mislead(vm, GATEWAY_OVERLAY_V6);
    }
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let own = mac(&gateway, "eth1");
    for vm in [&lab.vm1, &lab.vm2] {
        learns(vm, GATEWAY_OVERLAY, &own);
        learns(vm, GATEWAY_OVERLAY_V6, &own);
    }
    // It is a router and says so: the kernel marks such neighbours.
    let shown = lab.vm1.run("ip", &["neigh", "show", GATEWAY_OVERLAY_V6]).unwrap();
    assert!(shown.contains(" router "), "{shown}");
}

fn an_address_that_moves_to_the_gateway_is_followed(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    lab.vm2.ip("address add 10.227.128.40/21 dev eth0\naddress add fd00:227::40/64 dev eth0 nodad").unwrap();
    for address in ["10.227.128.40", "fd00:227::40"] {
        assert!(answers(&lab.vm1, address));
        assert_ne!(believes(&lab.vm1, address), mac(&gateway, "eth1"));
    }
    lab.vm2.ip("address del 10.227.128.40/21 dev eth0\naddress del fd00:227::40/64 dev eth0").unwrap();
    lab.gateway.ip("address add 10.227.128.40/21 dev eth1\naddress add fd00:227::40/64 dev eth1 nodad").unwrap();
    for address in ["10.227.128.40", "fd00:227::40"] {
        learns(&lab.vm1, address, &mac(&gateway, "eth1"));
    }
}

fn a_port_with_another_mac_is_followed(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    for address in [GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6] {
        assert!(answers(&lab.vm1, address));
        assert_eq!(believes(&lab.vm1, address), mac(&gateway, "eth1"));
    }
    lab.gateway.ip("link set eth1 address 02:00:00:00:77:02").unwrap();
    for address in [GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6] {
        learns(&lab.vm1, address, "02:00:00:00:77:02");
    }
}

fn a_link_that_returns_is_announced(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    // The other end of the cable, as KubeVirt does it after a migration.
    lab.switch.ip("link set overlay0 down").unwrap();
    gateway.wait_interface("eth1", "without a carrier", |leg| leg["state"] == "no-carrier").unwrap();
    mislead(&lab.vm1, GATEWAY_OVERLAY);
    mislead(&lab.vm1, GATEWAY_OVERLAY_V6);
    lab.switch.ip("link set overlay0 up").unwrap();
    learns(&lab.vm1, GATEWAY_OVERLAY, &mac(&gateway, "eth1"));
    learns(&lab.vm1, GATEWAY_OVERLAY_V6, &mac(&gateway, "eth1"));
}

/// Raises in `room` what the kernel raises when a driver calls `netdev_notify_peers`: its own account of the link, as RTM_NEWLINK to the
/// group of links, with `IFLA_EVENT` (rtnetlink_event in net/core/rtnetlink.c). No driver of a namespace's links does it (bonding, team,
/// virtio-net and Hyper-V's do), and the kernel's own announcements, which come with it, would hide whether the gateway has sent any; the
/// image's story has a real virtio-net do it.
fn notify_peers(room: &Namespace, interface: &str) {
    /// RTM_GETLINK, RTM_NEWLINK, RTMGRP_LINK; IFLA_EVENT and its value `IFLA_EVENT_NOTIFY_PEERS` (include/uapi/linux/{rtnetlink,if_link}.h).
    const GET: u16 = 18;
    const NEW: u16 = 16;
    const LINKS: u32 = 1;
    const EVENT: [u8; 8] = [8, 0, 44, 0, 4, 0, 0, 0];
    let shown = room.run("ip", &["-o", "link", "show", interface]).unwrap();
    let index: u32 = shown.split(':').next().unwrap().parse().unwrap();
    let raised = room.within(|| -> rustix::io::Result<()> {
        let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
        let mut question = vec![0u8; 32];
        question[0] = 32;
        question[4..6].copy_from_slice(&GET.to_ne_bytes());
        // NLM_F_REQUEST
        question[6] = 1;
        question[20..24].copy_from_slice(&index.to_ne_bytes());
        rustix::net::sendto(&socket, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut message = vec![0; 1 << 16];
        let (length, _) = rustix::net::recv(&socket, &mut message, RecvFlags::empty())?;
        message.truncate(length);
        assert_eq!(message[4..6], NEW.to_ne_bytes(), "{message:?}");
        message.extend(EVENT);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        // No flags, no sequence number, no port: nobody asked.
        message[6..16].fill(0);
        rustix::net::sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, LINKS)).map(drop)
    });
    raised.unwrap().unwrap();
}

fn a_driver_that_asks_to_notify_peers_has_every_address_announced(lab: &Lab) {
    lab.gateway.ip("address add 10.227.128.40/21 dev eth1\naddress add fd00:227::40/64 dev eth1 nodad").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let own = mac(&gateway, "eth1");
    let addresses = [GATEWAY_OVERLAY, "10.227.128.40", GATEWAY_OVERLAY_V6, "fd00:227::40"];
    // Its start is announced in three rounds, two seconds apart: what comes later comes of the event.
    let quiet = || {
        addresses.iter().for_each(|address| mislead(&lab.vm1, address));
        std::thread::sleep(QUIET);
        Ok(addresses.iter().all(|address| believes(&lab.vm1, address) == OLD))
    };
    wait_until(PATIENCE, "the announcements of the start to be over", quiet).unwrap();
    notify_peers(&lab.gateway, "eth1");
    for address in addresses {
        learns(&lab.vm1, address, &own);
    }
}

fn an_ipv6_address_is_announced_once_it_is_the_gateways_own(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    mislead(&lab.vm1, "fd00:227::77");
    // With duplicate address detection, which takes a second or two.
    lab.gateway.ip("address add fd00:227::77/64 dev eth1").unwrap();
    learns(&lab.vm1, "fd00:227::77", &mac(&gateway, "eth1"));
    // One that is a duplicate stays its owner's.
    mislead(&lab.vm1, "fd00:227::12");
    lab.gateway.ip("address add fd00:227::12/64 dev eth1").unwrap();
    let failed = || Ok(lab.gateway.run("ip", &["-6", "address", "show", "dev", "eth1", "dadfailed"])?.contains("fd00:227::12"));
    wait_until(PATIENCE, "the duplicate to be found", failed).unwrap();
    lab.gateway.ip("address add fd00:227::78/64 dev eth1 nodad").unwrap();
    mislead(&lab.vm1, "fd00:227::78");
    learns(&lab.vm1, "fd00:227::78", &mac(&gateway, "eth1"));
    // The owner has defended it to all nodes.
    let owner = lab.vm2.run("ip", &["link", "show", "eth0"]).unwrap();
    assert!(owner.contains(&believes(&lab.vm1, "fd00:227::12")), "{owner}");
}

fn interfaces_in_no_zone_are_not_announced(lab: &Lab) {
    let switch = lab.switch.name();
    lab.gateway.ip(&format!("link add spare0 type veth peer name other0 mtu 1400 netns {switch}\nlink set spare0 up")).unwrap();
    lab.switch.ip("link set other0 master br0 up").unwrap();
    lab.gateway.ip("address add 10.227.128.41/21 dev spare0").unwrap();
    mislead(&lab.vm1, "10.227.128.41");
    mislead(&lab.vm1, GATEWAY_OVERLAY);
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    learns(&lab.vm1, GATEWAY_OVERLAY, &mac(&gateway, "eth1"));
    assert_eq!(believes(&lab.vm1, "10.227.128.41"), OLD);
}
