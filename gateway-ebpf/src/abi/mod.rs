//! The contract between kernel and user space: what stands in every map, written once and used by both sides. Flows and mappings stand packed
//! in [`crate::table`]s, the rest as it is here.
//!
//! Rules of this module:
//! - every type is `repr(C)`, has no implicit padding (the kernel hashes whole keys, padding included), and says its size in a test;
//! - integers are in host byte order unless their type says otherwise ([`Port`] and the addresses hold the bytes of the wire, in an
//!   aligned integer, because LLVM loads and compares byte arrays on BPF one byte at a time);
//! - enums are append-only: their numbers are in running kernels and in dashboards.

mod address;
mod allocation;
mod answer;
mod config;
mod event;
mod flow;
mod ids;
mod interface;
mod nat;
mod reason;
mod rule;
mod search;

pub use address::{Address, Family, Ipv4, Ipv6, V4, V6};
pub use allocation::{Allocation, Outcome, PortRange};
pub use answer::Refused;
pub use config::{BankHeader, Config, LIST_LEN, POOL_LEN, RULES_LEN, RuleList, rule_index};
pub use event::{Event, EventKind};
pub use flow::{Flow, FlowFlags, FlowKey, FlowState, Link};
pub use ids::{Bank, Generation, IfIndex, Mac, Port, Protocol, RuleId, Tick, ZoneId};
pub use interface::{INTERFACES_LEN, Interface, InterfaceFlags};
pub use nat::{Endpoint, EndpointKey, Mapping, MappingKey};
pub use reason::{DropReason, PassReason, PuntReason, Reason};
pub use rule::{Action, Rule, RuleFlags, RuleTarget, SETS_LEN, SetBits, SetId, SetKey, TranslateKind};
pub use search::{Query, Search};

/// Marks the types that cross the boundary as plain bytes: `repr(C)`, `Copy`, no padding, valid for every bit pattern.
pub trait Abi: Copy + 'static {}

impl Abi for u32 {}
impl Abi for u64 {}
