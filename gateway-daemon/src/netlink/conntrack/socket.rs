//! The socket: dumps, and batches of requests that are each answered.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rtnetlink::packet_core::{
    DefaultNla, Emitable, ErrorBuffer, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer,
    NetlinkHeader,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt};

use super::attribute::emitted;
use super::parse::HEADER_LEN;
use crate::netlink::NetlinkError;

/// The kernel fills at most 32 KiB per read of a dump (net/netlink/af_netlink.c, `netlink_recvmsg`).
const READ: usize = 64 << 10;

/// How many requests go at once. Each may be answered by an error that quotes it, some 1 KiB of the receive buffer, which by default
/// holds 208 KiB: with more of them answers would be lost (ENOBUFS).
const BATCH: usize = 64;

/// The kernel answers within the system call; who waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// `AF_UNSPEC`, `AF_INET`, `AF_INET6` in `nfgenmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any = 0,
    V4 = 2,
    V6 = 10,
}

impl Family {
    pub(super) fn of(address: std::net::SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// A request without its number.
pub(super) struct Request {
    pub(super) kind: u16,
    /// Beside `NLM_F_REQUEST`.
    pub(super) flags: u16,
    pub(super) family: Family,
    pub(super) attributes: Vec<DefaultNla>,
}

/// One netlink socket of one network namespace.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One answer, still in the buffer.
enum Answer<'a> {
    Message(&'a [u8]),
    /// 0 for an acknowledgement.
    Error(i32),
    Done,
    Overrun,
}

impl Socket {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let open = |error: rustix::io::Errno| NetlinkError::Open { protocol: "netfilter", source: error.into() };
        let descriptor =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER)).map_err(open)?;
        sockopt::set_socket_timeout(&descriptor, sockopt::Timeout::Recv, Some(PATIENCE)).map_err(open)?;
        Ok(Self { descriptor, sequence: 0, buffer: vec![0; READ] })
    }

    /// Asks for a list and hands over every message, from its nfgenmsg header on.
    pub(super) fn dump(&mut self, action: &'static str, mut request: Request, mut each: impl FnMut(&[u8])) -> Result<(), NetlinkError> {
        request.flags |= NLM_F_DUMP;
        let number = self.send(action, &[request])?;
        let mut end = None;
        while end.is_none() {
            self.receive(action, |sequence, answer| match answer {
                _ if sequence != number => {}
                Answer::Message(payload) => each(payload),
                Answer::Error(0) => {}
                Answer::Error(code) => end = Some(Err(refused(action, code))),
                Answer::Overrun => end = Some(Err(lost(action))),
                Answer::Done => end = Some(Ok(())),
            })?;
        }
        end.unwrap_or(Ok(()))
    }

    /// Asks one question that has one message for an answer.
    pub(super) fn ask(&mut self, action: &'static str, mut request: Request, mut answered: impl FnMut(&[u8])) -> Result<(), NetlinkError> {
        request.flags |= NLM_F_ACK;
        let number = self.send(action, &[request])?;
        let mut end = None;
        while end.is_none() {
            self.receive(action, |sequence, answer| match answer {
                _ if sequence != number => {}
                Answer::Message(payload) => answered(payload),
                Answer::Error(0) | Answer::Done => end = Some(Ok(())),
                Answer::Error(code) => end = Some(Err(refused(action, code))),
                Answer::Overrun => end = Some(Err(lost(action))),
            })?;
        }
        end.unwrap_or(Ok(()))
    }

    /// Makes changes, many per system call. Gives, in their order, what the kernel said to each: `None` when it did it.
    pub(super) fn change(
        &mut self,
        action: &'static str,
        requests: impl IntoIterator<Item = Request>,
        mut outcome: impl FnMut(Option<io::Error>),
    ) -> Result<(), NetlinkError> {
        let mut requests = requests.into_iter();
        loop {
            let mut batch: Vec<Request> = requests.by_ref().take(BATCH).collect();
            // Failures are always answered; the last one's acknowledgement says that all are through.
            let Some(last) = batch.last_mut() else { return Ok(()) };
            last.flags |= NLM_F_ACK;
            let first = self.send(action, &batch)?;
            let mut codes = vec![0; batch.len()];
            let mut through = false;
            while !through {
                let mut overrun = false;
                self.receive(action, |sequence, answer| {
                    let position = sequence.wrapping_sub(first) as usize;
                    match (answer, codes.get_mut(position)) {
                        (Answer::Overrun, _) => overrun = true,
                        (Answer::Error(code), Some(slot)) => {
                            *slot = code;
                            through |= position + 1 == batch.len();
                        }
                        _ => {}
                    }
                })?;
                if overrun {
                    return Err(lost(action));
                }
            }
            for code in codes {
                outcome((code != 0).then(|| kernel_error(code)));
            }
        }
    }

    /// Numbers and sends requests; gives the first one's number.
    fn send(&mut self, action: &'static str, requests: &[Request]) -> Result<u32, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(requests.len() * 256);
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1);
            write(&mut bytes, request, self.sequence);
        }
        let sent = rustix::io::retry_on_intr(|| send(&self.descriptor, &bytes, SendFlags::empty()));
        sent.map_err(|error| NetlinkError::Refused { action, source: error.into() })?;
        Ok(first)
    }

    /// Reads once and hands over every answer in it with its number.
    fn receive(&mut self, action: &'static str, mut each: impl FnMut(u32, Answer<'_>)) -> Result<(), NetlinkError> {
        let Self { descriptor, buffer, .. } = self;
        let received = rustix::io::retry_on_intr(|| recv(&*descriptor, buffer.as_mut_slice(), RecvFlags::TRUNC));
        let (_, length) = match received {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN) => return Err(NetlinkError::Silent { action, waited: PATIENCE }),
            Err(error) => return Err(NetlinkError::Refused { action, source: error.into() }),
        };
        let mut rest = buffer.get(..length).ok_or(NetlinkError::Malformed { action })?;
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(|_| NetlinkError::Malformed { action })?;
            let number = message.sequence_number();
            match message.message_type() {
                // Also closes a dump, then with a code in it.
                NLMSG_DONE => match code(message.payload()) {
                    Some(code) if code < 0 => each(number, Answer::Error(code)),
                    _ => each(number, Answer::Done),
                },
                NLMSG_ERROR => {
                    let error = ErrorBuffer::new_checked(message.payload()).map_err(|_| NetlinkError::Malformed { action })?;
                    each(number, Answer::Error(error.code().map_or(0, std::num::NonZero::get)));
                }
                NLMSG_OVERRUN => each(number, Answer::Overrun),
                _ => each(number, Answer::Message(message.payload())),
            }
            let aligned = (message.length() as usize).next_multiple_of(4);
            rest = rest.get(aligned..).unwrap_or_default();
        }
        Ok(())
    }
}

fn write(bytes: &mut Vec<u8>, request: &Request, sequence: u32) {
    let attributes = emitted(&request.attributes);
    let mut header = NetlinkHeader::default();
    header.message_type = request.kind;
    header.flags = NLM_F_REQUEST | request.flags;
    header.sequence_number = sequence;
    let start = bytes.len();
    bytes.resize(start + header.buffer_len(), 0);
    header.length = (header.buffer_len() + HEADER_LEN + attributes.len()) as u32;
    header.emit(&mut bytes[start..]);
    // struct nfgenmsg: family, NFNETLINK_V0, resource 0.
    bytes.extend([request.family as u8, 0, 0, 0]);
    bytes.extend(attributes);
}

fn code(payload: &[u8]) -> Option<i32> {
    payload.get(..4)?.try_into().map(i32::from_ne_bytes).ok()
}

fn kernel_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code.saturating_neg())
}

fn refused(action: &'static str, code: i32) -> NetlinkError {
    NetlinkError::Refused { action, source: kernel_error(code) }
}

fn lost(action: &'static str) -> NetlinkError {
    NetlinkError::Refused { action, source: rustix::io::Errno::NOBUFS.into() }
}
