//! Request and response on one connection: how long a round trip takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{PATIENCE, Places, both, server_address};
use crate::network::Network;

const PORT: u16 = 7001;
/// Bytes of a request and of its answer.
pub const SIZE: usize = 64;

/// The median and the 99th percentile of the round trips, in µs.
pub fn measure(network: &Network, places: &Places, requests: usize) -> Result<[f64; 2]> {
    let serve = |listener: std::net::TcpListener| {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut buffer = [0; SIZE];
        for _ in 0..requests {
            stream.read_exact(&mut buffer)?;
            stream.write_all(&buffer)?;
        }
        Ok(())
    };
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&server_address(PORT), PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut times = Vec::with_capacity(requests);
        for number in 0..requests {
            let request = [number as u8; SIZE];
            let mut answer = [!number as u8; SIZE];
            let begin = Instant::now();
            stream.write_all(&request)?;
            stream.read_exact(&mut answer)?;
            times.push(begin.elapsed().as_nanos() as f64 / 1000.0);
            ensure!(answer == request, "request {number} came back as another");
        }
        Ok(times)
    };
    let (mut times, _) = both((&network.hosts, &network.remote), places, PORT, serve, ask)?;
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[times.len() * 99 / 100]])
}
