//! What the gateway changes in the kernel's routing side, so that it can be undone exactly.
//!
//! Each function is given the wanted and the observed state, is idempotent, and notes in [`Applied`] what it changed. The daemon keeps
//! `Applied` on disk: after a crash the next start goes on with it, and [`restore`] undoes it.

mod error;
mod link;
mod neighbour;
mod route;

use serde::{Deserialize, Serialize};

pub use error::ApplyError;
pub use link::{AddressReport, addresses, mtu, up};
pub use neighbour::{NeighbourReport, NextHop, Unmanaged, neighbours};
pub use route::{RouteReport, RouteState, routes};

use crate::inventory::{IfIndex, Inventory, Link};
use crate::model::InterfaceName;
use rtnetlink::Handle;

/// `RTA_PROTOCOL`, `FRA_PROTOCOL` and `NDA_PROTOCOL` of everything the gateway adds: `ip route show proto 200` lists it. From the range
/// that include/uapi/linux/rtnetlink.h leaves to users, unused by the routing daemons registered in iproute2's `rt_protos`.
pub const PROTOCOL: u8 = 200;

/// Everything changed so far and not undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    addresses: Vec<link::AppliedAddress>,
    mtus: Vec<link::AppliedMtu>,
    ups: Vec<LinkRef>,
    routes: Vec<route::AppliedRoute>,
    rules: Vec<route::AppliedRule>,
    neighbours: Vec<neighbour::AppliedNeighbour>,
}

impl Applied {
    /// True when there is nothing to undo.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which link a change was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LinkRef {
    index: u32,
    name: String,
}

impl LinkRef {
    fn of(link: &Link) -> Self {
        Self { index: link.index.0, name: link.name.0.clone() }
    }

    /// The link, if it is still there. After a reboot an index may belong to another link: then the name lives on under another index,
    /// whereas a renamed link keeps its index and its old name is gone.
    fn find<'a>(&self, inventory: &'a Inventory) -> Option<&'a Link> {
        let link = inventory.links.get(&IfIndex(self.index))?;
        let name = InterfaceName(self.name.clone());
        (link.name == name || inventory.link(&name).is_none()).then_some(link)
    }

    fn interface(&self) -> InterfaceName {
        InterfaceName(self.name.clone())
    }
}

/// Undoes everything noted in `applied`, last things first. What cannot be undone is reported and stays noted, so that it can be tried
/// again; what is gone by itself (a vanished link, a route that somebody deleted) counts as undone.
pub async fn restore(handle: &Handle, inventory: &Inventory, applied: &mut Applied) -> Vec<ApplyError> {
    let mut errors = neighbour::restore(handle, inventory, &mut applied.neighbours).await;
    errors.extend(route::restore(handle, applied).await);
    errors.extend(link::restore(handle, inventory, applied).await);
    errors
}
