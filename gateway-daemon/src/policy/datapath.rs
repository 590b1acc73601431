//! `[datapath]`.

use super::error::{PolicyError, RuleError, Suggestion, ValueError};
use super::findings::Findings;
use super::table::Table;
use super::value::Value;
use crate::model::DatapathMode;

/// 128 Ki IPv4 flows and a quarter of it of IPv6, with their mappings: 56 MB (`gateway_ebpf::table::capacity`).
const FLOWS: u32 = 131_072;
/// An eighth of the capacity: one host cannot fill the table.
const FLOWS_PER_HOST: u32 = 16_384;
/// From a table that a test can fill to one of 1.8 GB.
const FLOWS_RANGE: std::ops::RangeInclusive<u64> = 64..=4_194_304;

/// `mode`; the last is not for one interface.
const MODES: [(&str, DatapathMode); 4] =
    [("auto", DatapathMode::Auto), ("xdp", DatapathMode::Xdp), ("tc", DatapathMode::Tc), ("nftables", DatapathMode::Nftables)];

/// `[datapath]`, with its defaults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datapath {
    pub mode: DatapathMode,
    pub flows: u32,
    pub flows_per_host: u32,
}

impl Default for Datapath {
    fn default() -> Self {
        Self { mode: DatapathMode::default(), flows: FLOWS, flows_per_host: FLOWS_PER_HOST }
    }
}

pub(super) fn datapath(mut table: Table, findings: &mut Findings) -> Datapath {
    let mut datapath = Datapath::default();
    if let Some(value) = table.take("mode") {
        datapath.mode = value.choice(findings, "\"auto\"", &MODES).unwrap_or_default();
    }
    let flows = table.take("flows");
    if let Some(value) = flows {
        datapath.flows = value.number(findings, FLOWS_RANGE, "131072").unwrap_or(FLOWS);
        // A smaller table without a word about the quota: one host may fill it.
        datapath.flows_per_host = FLOWS_PER_HOST.min(datapath.flows);
    }
    if let Some(value) = table.take("flows-per-host")
        && let Some(quota) = value.number(findings, 1..=*FLOWS_RANGE.end(), "16384")
    {
        datapath.flows_per_host = quota;
        if quota > datapath.flows {
            findings.add(value.span(), RuleError::FlowsPerHost(quota, datapath.flows));
        }
    }
    table.finish(findings);
    datapath
}

/// `interfaces.<name>.datapath`, under the gateway's `mode`.
pub(super) fn interface_mode(value: Value, mode: DatapathMode, findings: &mut Findings) -> Option<DatapathMode> {
    value.parsed(findings, "\"auto\"", |text| {
        let [of_interfaces @ .., _] = &MODES;
        match MODES.iter().find(|(name, _)| *name == text) {
            Some((_, DatapathMode::Nftables)) => Err(PolicyError::from(RuleError::InterfaceNftables)),
            Some((_, DatapathMode::Tc | DatapathMode::Xdp)) if mode == DatapathMode::Nftables => {
                Err(RuleError::InterfaceUnderNftables(text.to_owned()).into())
            }
            Some((_, mode)) => Ok(*mode),
            None => {
                let names = of_interfaces.iter().map(|(name, _)| *name);
                Err(ValueError::Choice("datapath".to_owned(), text.to_owned(), Suggestion::new(text, names)).into())
            }
        }
    })
}
