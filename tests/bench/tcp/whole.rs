//! Proof that what arrives is what was sent, to the last byte and both ways: what iperf3 does not look at.
//!
//! A transfer with contents that the receiver knows, until the end of the stream. The stations compute their checksums themselves
//! meanwhile, as what comes from a wire has them; so the receiver's kernel verifies those that the gateway has rewritten.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use anyhow::{Context, Result};

use super::contents::{pattern, receive};
use super::{PATIENCE, Places, both, server_address};
use crate::network::Network;

const PORT: u16 = 7003;
/// Bytes each way.
const SIZE: usize = 16_000_000;

/// Transfers. `completed`: the stations compute their checksums themselves anyhow.
pub fn prove(network: &Network, places: &Places, completed: bool) -> Result<()> {
    if completed {
        return transfer(network, places);
    }
    network.complete_checksums()?;
    let outcome = transfer(network, places);
    // As they were, whatever came of it.
    network.hosts.run("ethtool", &["-K", "gen0", "tx", "on"])?;
    network.remote.run("ethtool", &["-K", "snk0", "tx", "on"])?;
    outcome
}

fn transfer(network: &Network, places: &Places) -> Result<()> {
    let pattern = pattern();
    let serve = |listener: std::net::TcpListener| {
        let (mut stream, _) = listener.accept()?;
        prepare(&stream)?;
        receive(&mut stream, &pattern, SIZE).context("towards the server")?;
        send(&mut stream, &pattern)
    };
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&server_address(PORT), PATIENCE)?;
        prepare(&stream)?;
        send(&mut stream, &pattern)?;
        receive(&mut stream, &pattern, SIZE).context("towards the client")
    };
    both((&network.hosts, &network.remote), places, PORT, serve, ask).map(drop)
}

fn prepare(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream.set_write_timeout(Some(PATIENCE))?)
}

fn send(stream: &mut TcpStream, pattern: &[u8]) -> Result<()> {
    let mut left = SIZE;
    while left > 0 {
        let part = left.min(pattern.len());
        stream.write_all(&pattern[..part])?;
        left -= part;
    }
    Ok(stream.shutdown(Shutdown::Write)?)
}
