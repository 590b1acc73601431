//! nftables: the guard of the kernel's own forward and input path beside the eBPF datapath ([`guard`]), and the whole policy where there is
//! none ([`render`]).
//!
//! ```text
//!  prerouting -150  admit      malformed, martian                      \
//!  prerouting -100  dstnat     port forwards, by maps                   | first packets of flows, from zone interfaces;
//!  prerouting  -90  validate   protocol, source                         | packets of accepted flows skip them
//!  (routing: hop limit and MTU, answered by the kernel)                /
//!  forward    -150  forward    zones; accepted flows go on; what begins no flow
//!                   firewall   the rules in order, the default
//!  postrouting 100  srcnat     source NAT
//!  input         0  input      rules to `self`, once there is one
//! ```
//!
//! State is the kernel's connection tracking; who accepted a flow stands in its connection [`Mark`].

mod admit;
mod apply;
mod counted;
mod destination_nat;
mod differences;
mod error;
mod expression;
mod features;
mod firewall;
mod forward;
pub mod guard;
mod input;
mod mark;
mod matching;
mod names;
mod print;
mod program;
mod refusal;
mod ruleset;
mod sets;
mod shape;
mod source_nat;
mod standing;
pub mod survey;

pub use apply::remove;
pub use counted::{Count, Counted};
pub use differences::{Difference, differences};
pub use error::NftError;
pub use features::Features;
pub use mark::{AcceptedBy, Mark};
pub use print::Printed;
pub use ruleset::{Ruleset, table_name};
pub use shape::Shape;
pub use standing::{Cause, Flow, Ruling, Standing};

use crate::inventory::Inventory;
use crate::model::Model;
use crate::plan::Numbers;
use sets::Sets;

/// The whole policy as one table: the datapath of `mode = "nftables"`.
///
/// `inventory` gives the addresses of zones that port forwards are for, and the devices of the flowtable; `numbers` what stands in
/// connection marks.
#[must_use]
pub fn render(instance: &str, model: &Model, inventory: &Inventory, numbers: &Numbers, features: Features) -> Ruleset {
    let mut ruleset = Ruleset::new(instance);
    let mut sets = Sets::new(model, &mut ruleset);
    admit::admit(&mut ruleset);
    destination_nat::render(&mut ruleset, &mut sets, model, inventory);
    admit::validate(&mut ruleset, model);
    forward::render(&mut ruleset, &mut sets, model, inventory, numbers, features);
    source_nat::render(&mut ruleset, &mut sets, model);
    input::render(&mut ruleset, &mut sets, model);
    ruleset
}

#[cfg(test)]
mod tests;
