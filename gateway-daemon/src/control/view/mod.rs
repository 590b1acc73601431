//! What the daemon shows of itself: plain data, the same in the daemon, on the socket and in `--json`.
//!
//! Field names are the JSON's field names: dashboards and scripts read them, so they are only added to.

mod drops;
mod flow;
mod status;

pub use drops::{DropsView, ReasonKind, ReasonView, RuleAction, RuleView};
pub use flow::{FlowState, FlowView, FlowsView, IpFamily, MappingView, Protocol};
pub use status::{Datapath, InterfaceView, LinkState, PolicyView, RuleCounts, StatusView, TableView, TrafficView, ZoneView};
