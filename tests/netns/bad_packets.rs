//! Bad packets on a real wire, as raw frames: none of them crosses the gateway, and each is counted by its reason.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gateway_tests::frames::{Path, Seen, address, flag, hex, repair};
use gateway_tests::lab::{GATEWAY_PODS, SERVER, VM1};
use gateway_tests::{Gateway, Lab, Namespace};
use pnet::datalink::{Channel, Config, DataLinkReceiver, DataLinkSender, channel, interfaces};

use crate::bench::in_both_modes;
use crate::traffic::answers;

in_both_modes! { no_bad_packet_crosses }

/// The one good packet, which comes after all others: when it has arrived, so has everything before it.
const SENTINEL: &[u8] = b"the last one";
/// For a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn no_bad_packet_crosses(lab: &Lab, gateway: &Gateway<'_>) {
    // Neighbours first, so that all that is seen later are the packets themselves.
    assert!(answers(&lab.vm1, SERVER));
    // Where the kernel has br_netfilter, the lab's switch would sort bad packets out by itself.
    let _ = lab.switch.sysctl("net/bridge/bridge-nf-call-iptables", "0");
    let path = way_out(lab);
    let server_mac = mac(&lab.pods, "pods0");
    let mut wire = lab.pods.within(|| open("pods0")).unwrap().unwrap();
    lab.vm1
        .within(|| {
            let (mut sender, _) = open("eth0")?;
            for frame in bad_frames(&path).into_iter().chain([path.udp(SENTINEL)]) {
                sender.send_to(&frame, None).context("no room to send")??;
            }
            anyhow::Ok(())
        })
        .unwrap()
        .unwrap();
    let crossed = until_sentinel(wire.1.as_mut(), server_mac).unwrap();
    assert!(crossed.is_empty(), "{} bad frames have crossed, the first is {}", crossed.len(), hex(&crossed[0]));
    for reason in [
        "truncated",
        "bad-ip-header",
        "bad-ip-checksum",
        "ip-options",
        "bad-tcp-header",
        "bad-udp-header",
        "land",
        "martian-source",
        "martian-destination",
        "source-is-self",
        "source-validation",
        "fragment",
        "protocol",
        "tcp-no-flow",
    ] {
        assert!(gateway.reason("drop", reason).unwrap() > 0, "nothing was dropped as {reason}");
    }
    assert!(gateway.reason("punt", "hop-limit").unwrap() > 0);
}

/// From the first VM through the gateway to the server's discard port.
pub fn way_out(lab: &Lab) -> Path {
    Path {
        source_mac: mac(&lab.vm1, "eth0"),
        destination_mac: mac(&lab.gateway, "eth1"),
        source: address(VM1),
        destination: address(SERVER),
        source_port: 4000,
        destination_port: 9,
        ttl: 64,
    }
}

/// Frames that no router forwards.
fn bad_frames(path: &Path) -> Vec<Vec<u8>> {
    let good = [path.tcp(flag::SYN, b"data"), path.udp(b"data"), path.echo_request(b"data")];
    let mut bad = Vec::new();
    for frame in &good {
        // Cut behind every byte of the packet.
        bad.extend((15..frame.len()).map(|len| frame[..len].to_vec()));
        let changed = |at: usize, value: u8, mended: bool| {
            let mut frame = frame.clone();
            frame[at] = value;
            if mended {
                repair(&mut frame);
            }
            frame
        };
        bad.push(changed(24, !frame[24], false)); // The IP checksum.
        bad.push(changed(14, 0x65, false)); // Version 6 in an IPv4 frame.
        bad.push(changed(14, 0x44, false)); // A header of 16 bytes.
        bad.push(changed(20, 0x20, true)); // More fragments.
        bad.push(changed(23, 132, true)); // SCTP.
    }
    for ttl in [0, 1] {
        bad.push(path.ttl(ttl).udp(b"data"));
    }
    for source in [SERVER, "127.0.0.1", "0.1.2.3", "224.0.0.1", "240.0.0.1", GATEWAY_PODS, "10.10.0.10"] {
        bad.push(path.from(source).udp(b"data"));
    }
    for destination in ["127.0.0.1", "0.1.2.3", "240.0.0.1"] {
        bad.push(path.to(destination, 9).udp(b"data"));
    }
    bad.push(path.tcp(flag::ACK, b"no connection"));
    bad.push(path.tcp(flag::SYN | flag::FIN, b""));
    bad.push(longer_udp(path));
    bad.push(source_routed(path));
    bad
}

/// A UDP length that reaches beyond the packet.
fn longer_udp(path: &Path) -> Vec<u8> {
    let mut frame = path.udp(b"data");
    frame[38..40].copy_from_slice(&64u16.to_be_bytes());
    frame
}

/// A loose source route (option 131) through an address of the sender's choice.
fn source_routed(path: &Path) -> Vec<u8> {
    let mut frame = path.udp(b"data");
    let option = [131, 7, 4, 10, 128, 0, 1, 0];
    frame.splice(34..34, option);
    frame[14] = 0x47;
    let total = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    repair(&mut frame);
    frame
}

/// IPv4 frames that came to the server before the sentinel.
fn until_sentinel(wire: &mut dyn DataLinkReceiver, server: [u8; 6]) -> Result<Vec<Vec<u8>>> {
    let mut crossed = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        // A time-out of the read, which only bounds this loop.
        let Ok(frame) = wire.next() else { continue };
        if frame.len() < 34 || frame[..6] != server || frame[12..14] != [0x08, 0x00] {
            continue;
        }
        if frame.ends_with(SENTINEL) {
            let seen = Seen::sound(frame);
            assert_eq!(seen.path.source, address(GATEWAY_PODS), "the good one is translated");
            return Ok(crossed);
        }
        crossed.push(frame.to_vec());
    }
    bail!("the good packet has not arrived")
}

fn open(interface: &str) -> Result<(Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>)> {
    let interface = interfaces().into_iter().find(|known| known.name == interface).with_context(|| format!("no {interface}"))?;
    let config = Config { read_timeout: Some(Duration::from_millis(200)), ..Default::default() };
    match channel(&interface, config)? {
        Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
        _ => bail!("{} is no Ethernet interface", interface.name),
    }
}

fn mac(namespace: &Namespace, interface: &str) -> [u8; 6] {
    let text = namespace.run("cat", &[&format!("/sys/class/net/{interface}/address")]).unwrap();
    let octets: Vec<u8> = text.trim().split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    octets.try_into().unwrap()
}
