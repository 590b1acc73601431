//! Connections, one after the other: opened, one request, one answer, closed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::request::SIZE;
use super::{PATIENCE, Places, both, server_address};
use crate::network::Network;

const PORT: u16 = 7002;

/// CPU µs of client, gateway and server per connection, and connections per second.
pub fn measure(network: &Network, places: &Places, connections: usize) -> Result<[f64; 2]> {
    let serve = |listener: std::net::TcpListener| {
        let mut buffer = [0; SIZE];
        for _ in 0..connections {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.read_exact(&mut buffer)?;
            stream.write_all(&buffer)?;
            // Closed here first: the state that waits for stragglers is the server's, and the client's ports come free.
        }
        Ok(())
    };
    let ask = || {
        let begin = Instant::now();
        for number in 0..connections {
            let mut stream = TcpStream::connect_timeout(&server_address(PORT), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&[number as u8; SIZE])?;
            let mut answer = Vec::with_capacity(SIZE);
            stream.read_to_end(&mut answer)?;
            ensure!(answer == [number as u8; SIZE], "request {number} came back as another");
        }
        Ok(begin.elapsed())
    };
    let (elapsed, cpu) = both((&network.hosts, &network.remote), places, PORT, serve, ask)?;
    let count = connections as f64;
    Ok([cpu as f64 / 1000.0 / count, count / elapsed.as_secs_f64()])
}
