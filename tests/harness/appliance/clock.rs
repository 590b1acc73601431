//! A time server (SNTP, RFC 4330) for the lab: it tells this machine's time.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::Namespace;

/// Seconds from 1900 to 1970.
const ERA: u64 = 2_208_988_800;
/// Requests are waited for in turns this long, between which the server looks whether anybody still wants it.
const TURN: Duration = Duration::from_millis(200);

/// Serves as long as the value lives.
#[derive(Debug)]
pub struct TimeServer {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl TimeServer {
    /// Starts it in that namespace, on the port of the protocol.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(room: &Namespace) -> Result<Self> {
        let socket = room.within(|| UdpSocket::bind("0.0.0.0:123"))?.context("cannot bind the time server's port")?;
        socket.set_read_timeout(Some(TURN))?;
        let server = Self { stop: std::sync::Arc::default() };
        let stop = std::sync::Arc::clone(&server.stop);
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut request = [0; 48];
                if let Ok((48, client)) = socket.recv_from(&mut request) {
                    let _ = socket.send_to(&answer(&request), client);
                }
            }
        });
        Ok(server)
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// RFC 4330, section 4: version 4, mode server; what the client sent as its time goes back as the originator's.
fn answer(request: &[u8; 48]) -> [u8; 48] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u32::try_from((now.as_secs() + ERA) & u64::from(u32::MAX)).unwrap_or_default().to_be_bytes();
    let fraction = u32::try_from((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000).unwrap_or_default().to_be_bytes();
    let mut answer = [0; 48];
    // No leap second; stratum 1; polled every 64 s; exact to about a microsecond; by the name of a local clock.
    answer[..4].copy_from_slice(&[0x24, 1, 6, 0xec]);
    answer[12..16].copy_from_slice(b"LOCL");
    answer[24..32].copy_from_slice(&request[40..]);
    for at in [16, 32, 40] {
        answer[at..at + 4].copy_from_slice(&seconds);
        answer[at + 4..at + 8].copy_from_slice(&fraction);
    }
    answer
}
