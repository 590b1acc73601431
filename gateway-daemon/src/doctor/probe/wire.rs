//! One interface as a wire: whole frames out, and whatever comes in.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pnet_datalink::{Channel, ChannelType, Config, DataLinkReceiver, DataLinkSender, MacAddr, NetworkInterface};

use crate::doctor::DoctorError;
use crate::inventory::{IfIndex, Link, Mac};

/// How often a quiet wire is left to look at the time.
const TICK: Duration = Duration::from_millis(20);
/// Until a full transmit queue is given up.
const SEND: Duration = Duration::from_millis(200);

/// A packet(7) socket on one interface, in promiscuous mode: answers to a MAC that is not the interface's own are of interest.
pub struct Wire {
    name: String,
    index: IfIndex,
    mac: Mac,
    sender: Box<dyn DataLinkSender>,
    receiver: Box<dyn DataLinkReceiver>,
}

impl Wire {
    /// Opens it. `mac` is what [`Wire::mac`] says, and frames that come from it are not heard.
    ///
    /// # Errors
    /// [`DoctorError::Probe`]: mostly `CAP_NET_RAW` is missing.
    pub fn open(link: &Link, mac: Mac) -> Result<Self, DoctorError> {
        let [a, b, c, d, e, f] = mac.0;
        let interface = NetworkInterface {
            name: link.name.0.clone(),
            description: String::new(),
            index: link.index.0,
            mac: Some(MacAddr(a, b, c, d, e, f)),
            ips: Vec::new(),
            flags: 0,
        };
        let config = Config {
            channel_type: ChannelType::Layer2,
            promiscuous: true,
            read_timeout: Some(TICK),
            write_timeout: Some(SEND),
            ..Config::default()
        };
        let failed = |source| DoctorError::Probe { interface: link.name.0.clone(), source };
        match pnet_datalink::channel(&interface, config).map_err(failed)? {
            Channel::Ethernet(sender, receiver) => Ok(Self { name: link.name.0.clone(), index: link.index, mac, sender, receiver }),
            _ => Err(failed(io::ErrorKind::Unsupported.into())),
        }
    }

    /// The interface's index.
    #[must_use]
    pub fn index(&self) -> IfIndex {
        self.index
    }

    /// The interface's own MAC.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`DoctorError::Probe`]
    pub fn send(&mut self, frame: &[u8]) -> Result<(), DoctorError> {
        let sent = self.sender.send_to(frame, None).unwrap_or(Ok(()));
        sent.map_err(|source| DoctorError::Probe { interface: self.name.clone(), source })
    }

    /// Hands every frame of others to `see` until that breaks off or the time is up; frames are answered with what `see` puts into its
    /// second argument.
    ///
    /// # Errors
    /// [`DoctorError::Probe`]
    pub fn listen(&mut self, until: Instant, mut see: impl FnMut(&[u8], &mut Vec<Vec<u8>>) -> ControlFlow<()>) -> Result<(), DoctorError> {
        let mut answers = Vec::new();
        while Instant::now() < until {
            let next = match self.receiver.next() {
                // Our own come back to this socket as outgoing ones.
                Ok(frame) if frame.get(6..12) == Some(&self.mac.0) => ControlFlow::Continue(()),
                Ok(frame) => see(frame, &mut answers),
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                    ControlFlow::Continue(())
                }
                Err(source) => return Err(DoctorError::Probe { interface: self.name.clone(), source }),
            };
            for answer in answers.drain(..) {
                self.send(&answer)?;
            }
            if next.is_break() {
                break;
            }
        }
        Ok(())
    }
}
