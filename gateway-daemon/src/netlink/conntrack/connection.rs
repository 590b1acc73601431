//! What can be asked of the connection tracking table.

use std::io;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rustix::io::Errno;

use super::attribute::*;
use super::create::{Created, NewEntry};
use super::encode;
use super::entry::{Entry, Mark};
use super::parse;
use super::socket::{Family, Request, Socket};
use crate::netlink::NetlinkError;

/// How full the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Entries of this namespace.
    pub entries: u32,
    /// `nf_conntrack_max`; `None` before Linux 4.18, which does not tell it here.
    pub limit: Option<u32>,
}

/// A connection to the table of one network namespace. Every call blocks until the kernel has answered. After an error that is no
/// [`NetlinkError::Refused`] a new one has to be opened: answers may be left in this one.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    /// Opens the table of the calling thread's network namespace.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: Socket::open()? })
    }

    /// Every entry of both families in the default conntrack zone whose mark has the bits of `mark`. Entries made or ended meanwhile
    /// may be there or not.
    ///
    /// # Errors
    /// The kernel refuses the list or sends what is no netlink.
    pub fn dump(&mut self, mark: Mark) -> Result<Vec<Entry>, NetlinkError> {
        let mut entries = Vec::new();
        self.for_each(mark, |entry| entries.push(entry))?;
        Ok(entries)
    }

    /// [`Conntrack::dump`] without keeping the entries.
    ///
    /// # Errors
    /// As [`Conntrack::dump`].
    pub fn for_each(&mut self, mark: Mark, mut each: impl FnMut(Entry)) -> Result<(), NetlinkError> {
        // The kernel leaves out the others itself, which saves most of the work when only a few are ours.
        let attributes = if mark.mask == 0 { Vec::new() } else { encode::mark(mark).into() };
        let request = Request { kind: CT_GET, flags: 0, family: Family::Any, attributes };
        self.socket.dump("list the tracked connections", request, |payload| {
            if let Some(entry) = parse::entry(payload)
                && mark.matches(entry.mark)
            {
                each(entry);
            }
        })
    }

    /// Ends a flow; its next packet opens a new one. False: it was gone, or another of the same tuples has
    /// taken its place; [`super::EntryId`] says when the latter is ended in its stead.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delete(&mut self, entry: &Entry) -> Result<bool, NetlinkError> {
        self.delete_all([entry]).map(|deleted| deleted == 1)
    }

    /// Ends many flows, and gives how many of them were still there.
    ///
    /// # Errors
    /// The kernel refuses one for another reason than that it is gone; the others are ended all the same. Older kernels refuse flows
    /// that are in a flowtable (`EBUSY`).
    pub fn delete_all<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<u64, NetlinkError> {
        let request = |entry: &Entry| Request {
            kind: CT_DELETE,
            flags: 0,
            family: Family::of(entry.original.source),
            attributes: encode::name(entry),
        };
        self.change_known("end a tracked connection", entries.into_iter().map(request))
    }

    /// Sets the bits of a flow's mark that are in `mark`'s mask. False: the flow is gone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_mark(&mut self, entry: &Entry, mark: Mark) -> Result<bool, NetlinkError> {
        self.set_mark_all([entry], mark).map(|set| set == 1)
    }

    /// Sets the bits of many flows' marks, and gives how many of the flows were still there.
    ///
    /// # Errors
    /// The kernel refuses one for another reason than that it is gone; the others are marked all the same.
    pub fn set_mark_all<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>, mark: Mark) -> Result<u64, NetlinkError> {
        let request = |entry: &Entry| {
            let mut attributes = encode::name(entry);
            attributes.extend(encode::mark(mark));
            Request { kind: CT_NEW, flags: 0, family: Family::of(entry.original.source), attributes }
        };
        self.change_known("mark a tracked connection", entries.into_iter().map(request))
    }

    /// Makes an entry.
    ///
    /// # Errors
    /// The kernel cannot be asked; what it says of the entry is in [`Created`].
    pub fn create(&mut self, entry: &NewEntry) -> Result<Created, NetlinkError> {
        let mut created = self.create_all([entry])?;
        Ok(created.pop().unwrap_or_else(|| Created::Refused(Errno::INVAL.into())))
    }

    /// Makes many entries, and gives what became of each, in their order.
    ///
    /// # Errors
    /// The kernel cannot be asked; those before are made.
    pub fn create_all<'a>(&mut self, entries: impl IntoIterator<Item = &'a NewEntry>) -> Result<Vec<Created>, NetlinkError> {
        let mut outcomes = Vec::new();
        let requests = entries.into_iter().map(|entry| Request {
            kind: CT_NEW,
            flags: NLM_F_CREATE | NLM_F_EXCL,
            family: Family::of(entry.original.source),
            // Without attributes the kernel answers EINVAL, which is what a message without an answer deserves.
            attributes: encode::new_entry(entry).unwrap_or_default(),
        });
        self.socket.change("make a tracked connection", requests, |error| outcomes.push(created(error)))?;
        Ok(outcomes)
    }

    /// How full the table is.
    ///
    /// # Errors
    /// The kernel refuses or its answer lacks the count.
    pub fn stats(&mut self) -> Result<Stats, NetlinkError> {
        let action = "count the tracked connections";
        let (mut entries, mut limit) = (None, None);
        let request = Request { kind: CT_GET_STATS, flags: 0, family: Family::Any, attributes: Vec::new() };
        self.socket.ask(action, request, |payload| {
            for attribute in walk(payload.get(parse::HEADER_LEN..).unwrap_or_default()).map_while(Result::ok) {
                match attribute.kind() {
                    CTA_STATS_GLOBAL_ENTRIES => entries = u32_of(&attribute),
                    CTA_STATS_GLOBAL_MAX_ENTRIES => limit = u32_of(&attribute),
                    _ => {}
                }
            }
        })?;
        Ok(Stats { entries: entries.ok_or(NetlinkError::Malformed { action })?, limit })
    }

    /// Changes entries that may be gone; gives how many were there. The first other failure is reported when all are through.
    fn change_known(&mut self, action: &'static str, requests: impl IntoIterator<Item = Request>) -> Result<u64, NetlinkError> {
        let mut there = 0;
        let mut failure = None;
        self.socket.change(action, requests, |error| match error {
            None => there += 1,
            Some(error) if is(&error, Errno::NOENT) => {}
            Some(source) => failure = failure.take().or(Some(source)),
        })?;
        match failure {
            Some(source) => Err(NetlinkError::Refused { action, source }),
            None => Ok(there),
        }
    }
}

fn created(error: Option<io::Error>) -> Created {
    match error {
        None => Created::Made,
        Some(error) if is(&error, Errno::EXIST) => Created::Taken,
        Some(error) => Created::Refused(error),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
