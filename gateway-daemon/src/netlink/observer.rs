//! Keeps the inventory current: subscribe first, then snapshot, then follow; a snapshot again after an overrun.

use std::collections::BTreeMap;

use futures_util::{FutureExt, StreamExt};
use rtnetlink::Handle;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourMessage;

use super::NetlinkError;
use super::connection::{self, Events, Task};
use super::state::{Snapshot, State};
use super::xdp_features::{Report, XdpWatch};
use crate::inventory::{IfIndex, Inventory, XdpFeatures};

/// The rtnetlink event socket.
struct RouteEvents {
    events: Events<RouteNetlinkMessage>,
    _task: Task,
}

/// Observes the network namespace of the thread that started it. Needs a tokio runtime.
pub struct Observer {
    state: State,
    handle: Handle,
    route: Option<RouteEvents>,
    /// `None` where the kernel has no `netdev` family (before Linux 6.3).
    xdp: Option<XdpWatch>,
    resync: bool,
    resync_xdp: bool,
}

impl Observer {
    /// Subscribes, then reads everything once.
    ///
    /// # Errors
    /// When the sockets cannot be opened or the kernel refuses a list.
    pub async fn start() -> Result<Self, NetlinkError> {
        let mut observer =
            Self { state: State::default(), handle: connection::open_requests()?, route: None, xdp: None, resync: true, resync_xdp: false };
        observer.synchronise().await?;
        observer.state.take_changed();
        Ok(observer)
    }

    /// What is observed now.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        self.state.inventory()
    }

    /// For requests of [`super::apply`]; lives on when the observer is dropped.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until something relevant changed and has been taken into [`Observer::inventory`]; whatever is already queued by then is
    /// taken in with it. Cancel-safe: a dropped call loses nothing, the next one goes on where it stopped.
    ///
    /// # Errors
    /// When the kernel refuses a list or a new socket. The observer stays usable: the next call tries again.
    pub async fn changed(&mut self) -> Result<(), NetlinkError> {
        loop {
            // Lets the connections' tasks empty their sockets, so that a burst becomes one change.
            tokio::task::yield_now().await;
            self.drain();
            self.synchronise().await?;
            if self.state.take_changed() {
                return Ok(());
            }
            self.wait().await;
        }
    }

    /// Takes in what is queued, without waiting.
    fn drain(&mut self) {
        while let Some(message) = self.route.as_mut().and_then(|route| route.events.next().now_or_never()) {
            self.follow(message);
        }
        while let Some(report) = self.xdp.as_mut().and_then(|xdp| xdp.next().now_or_never()) {
            self.follow_xdp(report);
        }
    }

    /// Waits for one message and takes it in. Cancel-safe, as no await follows the receipt.
    async fn wait(&mut self) {
        let Self { route, xdp, .. } = self;
        let route_next = async {
            match route {
                Some(route) => route.events.next().await,
                None => std::future::pending().await,
            }
        };
        let xdp_next = async {
            match xdp {
                Some(xdp) => xdp.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = route_next => self.follow(message),
            report = xdp_next => self.follow_xdp(report),
        }
    }

    fn follow(&mut self, message: Option<NetlinkMessage<RouteNetlinkMessage>>) {
        match message.map(|message| message.payload) {
            Some(NetlinkPayload::InnerMessage(message)) => self.state.follow(&message),
            Some(NetlinkPayload::Overrun(_)) => {
                tracing::debug!("netlink announced faster than it was read; reading everything again");
                // With a new socket: the kernel silently drops all that comes for this one until its queue is read empty
                // (NETLINK_S_CONGESTED in net/netlink/af_netlink.c), and what happens after the dump would be among that.
                self.route = None;
                self.resync = true;
            }
            Some(_) => {}
            None => {
                tracing::warn!("the netlink event socket closed; opening it again and reading everything again");
                self.route = None;
                self.resync = true;
            }
        }
    }

    fn follow_xdp(&mut self, report: Option<Report>) {
        match report {
            Some(Report::Features(index, features)) => self.state.put_xdp(index, Some(features)),
            Some(Report::Gone(index)) => self.state.put_xdp(index, None),
            Some(Report::Other) => {}
            // As for routes: only a new socket is sure to hear what comes next.
            Some(Report::Overrun) | None => {
                self.xdp = None;
                self.resync_xdp = true;
            }
        }
    }

    /// Reads again what is known to be stale. Each flag is cleared only after its list was taken in, so a cancelled or failed call is
    /// made up for by the next one.
    async fn synchronise(&mut self) -> Result<(), NetlinkError> {
        if self.resync {
            if self.route.is_none() {
                let (events, task) = connection::open_events()?;
                self.route = Some(RouteEvents { events, _task: task });
            }
            if self.xdp.is_none() {
                self.xdp = XdpWatch::open().await?;
            }
            let snapshot = match self.snapshot().await {
                Err(error @ NetlinkError::Closed { .. }) => {
                    self.handle = connection::open_requests()?;
                    return Err(error);
                }
                other => other?,
            };
            self.state.replace(snapshot);
            self.resync = false;
            self.resync_xdp = false;
        }
        if self.resync_xdp {
            if self.xdp.is_none() {
                self.xdp = XdpWatch::open().await?;
            }
            let features = self.xdp_features().await?;
            self.state.replace_xdp(features);
            self.resync_xdp = false;
        }
        if self.state.addresses_stale() {
            let addresses = self.addresses().await?;
            self.state.replace_addresses(&addresses);
        }
        Ok(())
    }

    async fn addresses(&self) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        connection::dump(&self.handle, "list the addresses", request).await
    }

    /// Routes and rules are not part of it: the datapath asks the kernel itself, and only must know that something changed.
    async fn snapshot(&self) -> Result<Snapshot, NetlinkError> {
        let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let neighbours = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        Ok(Snapshot {
            links: connection::dump(&self.handle, "list the links", links).await?,
            addresses: self.addresses().await?,
            neighbours: connection::dump(&self.handle, "list the neighbours", neighbours).await?,
            xdp: self.xdp_features().await?,
        })
    }

    async fn xdp_features(&self) -> Result<Option<BTreeMap<IfIndex, XdpFeatures>>, NetlinkError> {
        match &self.xdp {
            Some(xdp) => xdp.all().await.map(Some),
            None => Ok(None),
        }
    }
}
