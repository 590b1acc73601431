//! Namespace tests: the real daemon in the users' topology, real kernels, real programs; a sentence of the users' per test.

mod bad_packets;
mod bench;
mod doctor;
mod doctor_port;
mod errors;
mod flows;
mod guard;
mod interfaces;
mod ipv6;
mod lifecycle;
mod machine;
mod nat;
mod nftables;
mod policy;
mod presence;
mod reload;
mod routes;
mod scattered;
mod seed;
mod source;
mod tables;
mod traffic;
mod xdp;
mod zone;
