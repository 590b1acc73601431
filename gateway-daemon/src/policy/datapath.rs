//! `[datapath]`.

use super::error::{PolicyError, RuleError, Suggestion, UnsupportedError, ValueError};
use super::findings::Findings;
use super::table::Table;
use super::value::Value;
use crate::model::DatapathMode;

/// 128 Ki flows of two entries of 64 bytes each: 16 MiB.
const FLOWS: u32 = 131_072;
/// An eighth of the capacity: one host cannot fill the table.
const FLOWS_PER_HOST: u32 = 16_384;
/// From a table that a test can fill to half a gigabyte.
const FLOWS_RANGE: std::ops::RangeInclusive<u64> = 64..=4_194_304;

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
        datapath.mode = mode(value, findings).unwrap_or_default();
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

/// `[datapath] mode` and `interfaces.<name>.datapath`.
pub(super) fn mode(value: Value, findings: &mut Findings) -> Option<DatapathMode> {
    let key = value.key.to_owned();
    value.parsed(findings, "\"auto\"", |text| match text {
        "auto" => Ok(DatapathMode::Auto),
        "xdp" => Ok(DatapathMode::Xdp),
        "tc" => Ok(DatapathMode::Tc),
        "nftables" => Err(PolicyError::from(UnsupportedError::NftablesMode)),
        _ => Err(ValueError::Choice(key, text.to_owned(), Suggestion::new(text, ["auto", "xdp", "tc"])).into()),
    })
}
