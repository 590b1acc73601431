//! Many UDP flows at the same time: sockets in an overlay VM, each in conversation with servers on the pod side.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::lab::{SERVER, VM1};
use crate::{Lab, Namespace};

/// The servers' ports. Several for each socket, as one address has not ports enough for all the flows.
const SERVERS: std::ops::Range<u16> = 9000..9008;
/// The first port of the sockets.
const FIRST: u16 = 20_000;
/// Sockets that talk at the same time: with all servers 256 datagrams, which fit into a tap's queue.
const TOGETHER: u16 = 32;
/// What has not been answered by then is asked again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often.
const TRIES: u32 = 40;

/// The servers: each sends back what it is sent. They end with the value.
#[derive(Debug)]
pub struct Servers {
    stop: Arc<AtomicBool>,
}

impl Servers {
    /// Starts them in that namespace.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub fn start(room: &Namespace) -> Result<Self> {
        let servers = Self { stop: Arc::default() };
        for port in SERVERS {
            let socket = room.within(|| UdpSocket::bind((SERVER, port)))?.context("cannot bind a server's port")?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let stop = Arc::clone(&servers.stop);
            std::thread::spawn(move || {
                let mut word = [0; 64];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((length, client)) = socket.recv_from(&mut word) {
                        let _ = socket.send_to(&word[..length], client);
                    }
                }
            });
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Opens at least so many flows from the lab's first VM, each with an answer; gives how long it took.
///
/// # Errors
/// When a server does not answer however often it is asked, when `stop` is raised, or after `limit`.
pub fn open(lab: &Lab, flows: usize, limit: Duration, stop: &AtomicBool) -> Result<Duration> {
    let sockets = u16::try_from(flows.div_ceil(SERVERS.len()))?.next_multiple_of(TOGETHER);
    let begun = Instant::now();
    lab.vm1.within(|| {
        for first in (FIRST..FIRST + sockets).step_by(usize::from(TOGETHER)) {
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
            ensure!(begun.elapsed() < limit, "{} sockets of {sockets} had their answers within {limit:?}", first - FIRST);
            let talking = (first..first + TOGETHER).map(Conversation::begin).collect::<Result<Vec<_>>>()?;
            talking.into_iter().try_for_each(Conversation::finish)?;
        }
        Ok(begun.elapsed())
    })?
}

/// One socket with all servers sends `rounds` words to each and waits for each word's answer; gives the number of packets, both ways.
///
/// # Errors
/// As [`open`].
pub fn converse(lab: &Lab, rounds: u64) -> Result<u64> {
    let words = lab.vm1.within(|| {
        // A port of its own each time, so that no flow of before is met.
        let own = UdpSocket::bind((VM1, 0))?.local_addr()?.port();
        (0..rounds).try_for_each(|_| Conversation::begin(own)?.finish())
    })?;
    words.map(|()| rounds * 2 * SERVERS.len() as u64)
}

/// One socket, and the servers that have not answered yet.
struct Conversation {
    socket: UdpSocket,
    waits_for: Vec<u16>,
}

impl Conversation {
    fn begin(port: u16) -> Result<Self> {
        let socket = UdpSocket::bind((VM1, port)).with_context(|| format!("cannot bind port {port}"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let conversation = Self { socket, waits_for: SERVERS.collect() };
        conversation.ask()?;
        Ok(conversation)
    }

    fn ask(&self) -> Result<()> {
        for port in &self.waits_for {
            self.socket.send_to(b"flow", (SERVER, *port)).context("cannot send")?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let mut tries = 1;
        while !self.waits_for.is_empty() {
            match self.socket.recv_from(&mut [0; 64]) {
                Ok((_, server)) => self.waits_for.retain(|port| SocketAddr::new(server.ip(), *port) != server),
                // EAGAIN: the timeout of the socket.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    ensure!(tries < TRIES, "{SERVER} ports {:?} did not answer {tries} times", self.waits_for);
                    tries += 1;
                    self.ask()?;
                }
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
        Ok(())
    }
}
