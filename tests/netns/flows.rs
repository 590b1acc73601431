//! Flows in motion: big transfers arrive intact, whole GSO packets are forwarded, first packets wait for nobody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gateway_tests::lab::{ONPREM, SERVER};
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_every_mode};
use crate::policy::Policy;
use crate::traffic::{accept, answers, connect, listen};

in_every_mode! {
    big_transfers_arrive_intact_both_ways
    the_first_packet_to_an_unknown_neighbour_is_not_lost
}
in_a_lab! { gso_packets_are_forwarded_whole }

/// 64 MiB each way.
const BIG: usize = 64 << 20;

/// A text of any length that repeats only after 2^64 words: a misplaced byte shows.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, buffer: &mut [u8]) {
        for word in buffer.chunks_mut(8) {
            // xorshift64 (Marsaglia 2003).
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

/// Sends `length` bytes of noise, a multiple of 64 KiB, and holds every byte that arrives against what was sent.
pub fn carry(mut from: TcpStream, mut to: TcpStream, length: usize) -> (TcpStream, TcpStream) {
    const CHUNK: usize = 1 << 16;
    let seed = 0x9e37_79b9_7f4a_7c15;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut noise, mut chunk) = (Noise(seed), vec![0; CHUNK]);
            for _ in 0..length / CHUNK {
                noise.fill(&mut chunk);
                from.write_all(&chunk).unwrap();
            }
        });
        let (mut noise, mut wanted, mut came) = (Noise(seed), vec![0; CHUNK], vec![0; CHUNK]);
        for position in 0..length / CHUNK {
            noise.fill(&mut wanted);
            to.read_exact(&mut came).unwrap();
            assert!(wanted == came, "the {position}th chunk of {CHUNK} bytes came changed");
        }
    });
    (from, to)
}

fn big_transfers_arrive_intact_both_ways(lab: &Lab, gateway: &Gateway<'_>) {
    let server = listen(&lab.pods, "10.128.0.1:8080");
    let client = connect(&lab.vm1, "10.128.0.1:8080");
    let (accepted, _) = accept(&server);
    let (client, accepted) = carry(client, accepted, BIG);
    let _open = carry(accepted, client, BIG);
    let flows = gateway.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["protocol"] == "tcp").unwrap();
    for direction in ["bytes_original", "bytes_reply"] {
        assert!(flow[direction].as_u64().unwrap() as usize >= BIG, "{direction} of {flow:#}");
    }
}

fn gso_packets_are_forwarded_whole(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let server = listen(&lab.pods, "10.128.0.1:8080");
    let client = connect(&lab.vm1, "10.128.0.1:8080");
    let (accepted, _) = accept(&server);
    let _open = carry(client, accepted, BIG);
    let flows = gateway.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["protocol"] == "tcp").unwrap();
    let mean = flow["bytes_original"].as_u64().unwrap() / flow["packets_original"].as_u64().unwrap();
    assert!(mean > 2800, "a packet carries {mean} bytes on average, but the link's MTU is 1400: they were cut in front of the datapath");
}

fn the_first_packet_to_an_unknown_neighbour_is_not_lost(lab: &Lab, _gateway: &Gateway<'_>) {
    for (from, to) in [(&lab.vm1, SERVER), (&lab.vm2, ONPREM)] {
        lab.gateway.ip("neigh flush all").unwrap();
        lab.pods.ip("neigh flush all").unwrap();
        assert!(answers(from, to), "{to}");
    }
    // The same within an established flow, whose entry knew the neighbour before.
    let server = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&server);
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for _ in 0..3 {
        crate::traffic::talk(&mut client, &mut accepted).unwrap();
        lab.gateway.ip("neigh flush all").unwrap();
    }
    crate::traffic::talk(&mut client, &mut accepted).unwrap();
}
