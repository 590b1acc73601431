//! The whole document: definitions first, then the rules that refer to them, then what holds among rules.

use toml::de::DeTable;

use super::address::Sets;
use super::context::{Context, Placed};
use super::datapath::{Datapath, datapath};
use super::destination_nat::{self, destination_nat};
use super::diagnostic::Diagnostic;
use super::error::{ShapeError, UnsupportedError, Warning};
use super::findings::Findings;
use super::firewall;
use super::interface::interfaces;
use super::limits::{Places, limits};
use super::route::routes;
use super::source_nat::{self, source_nat};
use super::table::Table;
use super::timeouts::timeouts;
use super::unreachable::unreachable;
use super::value::Value;
use super::zone::Zones;
use crate::model::{DestinationNat, Firewall, FirewallRule, Model, Nat, SourceNat};

/// Rules with their places.
#[derive(Default)]
struct Rules {
    source_nat: Vec<Placed<SourceNat>>,
    destination_nat: Vec<Placed<DestinationNat>>,
    firewall: Vec<Placed<FirewallRule>>,
}

/// Everything that could be read, and everything that is wrong with it.
pub(super) fn document(root: &DeTable, findings: Findings) -> (Model, Vec<Diagnostic>) {
    let mut root = Table::new(root, 0..0, "the policy".to_owned());
    let mut cx = Context::new(findings);
    version(&mut root, &mut cx.findings);
    let datapath = table(&mut root, "datapath", &mut cx.findings).map_or_else(Datapath::default, |t| datapath(t, &mut cx.findings));
    // Taken in the order of POLICY.md, which is the order in which an unknown key's alternatives are listed.
    let written_interfaces = root.take("interfaces");
    cx.zones = table(&mut root, "zones", &mut cx.findings).map_or_else(Zones::default, |t| Zones::read(t, &mut cx.findings));
    let interfaces = written_interfaces
        .and_then(|v| v.table(&mut cx.findings, "interfaces"))
        .map(|t| interfaces(t, datapath.mode, &cx.zones, &mut cx.findings))
        .unwrap_or_default();
    let mut places = Places::default();
    let written_sets = table(&mut root, "sets", &mut cx.findings);
    if let Some(sets) = written_sets {
        places.sets = sets.span();
        cx.sets = Sets::read(sets, &mut cx.findings);
    }
    let written_routes = root.take("routes").map_or_else(Vec::new, |v| v.tables(&mut cx.findings, "routes"));
    let routes = routes(written_routes, &mut cx);
    let mut rules = Rules::default();
    nat(&mut root, &mut rules, &mut places, &mut cx);
    let mut model_firewall = Firewall::default();
    if let Some(table) = table(&mut root, "firewall", &mut cx.findings) {
        places.firewall = table.span();
        (model_firewall.default, rules.firewall) = firewall::firewall(table, &mut cx);
    }
    let timeouts = table(&mut root, "timeouts", &mut cx.findings).map(|t| timeouts(t, &mut cx.findings)).unwrap_or_default();
    root.finish(&mut cx.findings);
    if cx.zones.is_empty() {
        cx.findings.add(0..0, Warning::NoZones);
    }
    destination_nat::overlaps(&rules.destination_nat, &interfaces, &mut cx);
    let before = cx.findings.errors();
    let Context { ref sets, ref mut findings, .. } = cx;
    let nat = Nat { source: plain(&rules.source_nat), destination: plain(&rules.destination_nat) };
    model_firewall.rules = plain(&rules.firewall);
    limits(datapath.mode, &nat, &model_firewall, sets, &places, findings);
    // Every rule is compared with all before it, which is too long a work for a list that is refused anyway.
    if cx.findings.errors() == before {
        compare(&rules, &mut cx);
    }
    let model = Model {
        mode: datapath.mode,
        flows: datapath.flows,
        flows_per_host: datapath.flows_per_host,
        interfaces,
        zones: cx.zones.into_list(),
        sets: cx.sets.into_list(),
        routes,
        nat,
        firewall: model_firewall,
        timeouts,
    };
    (model, cx.findings.into_diagnostics())
}

fn table<'t>(root: &mut Table<'t>, key: &'static str, findings: &mut Findings) -> Option<Table<'t>> {
    root.take(key)?.table(findings, key)
}

fn version(root: &mut Table, findings: &mut Findings) {
    let Some(value) = root.require(findings, "version", "1") else {
        return;
    };
    match value.node.get_ref().as_integer() {
        Some(number) if number.as_str() == "1" => {}
        Some(number) => findings.add(value.span(), ShapeError::Version(number.to_string())),
        None => value.wrong_type(findings, "a number", "1"),
    }
}

fn nat(root: &mut Table, rules: &mut Rules, places: &mut Places, cx: &mut Context) {
    let Some(mut table) = table(root, "nat", &mut cx.findings) else {
        return;
    };
    let source = table.take("source");
    let destination = table.take("destination");
    let fixed = table.take("static");
    table.finish(&mut cx.findings);
    let mut read = |value: Option<Value>, path: &str, place: &mut std::ops::Range<usize>, each: &mut dyn FnMut(Table, &mut Context)| {
        let Some(value) = value else { return };
        *place = value.span();
        for table in value.tables(&mut cx.findings, path) {
            each(table, cx);
        }
    };
    read(source, "nat.source", &mut places.source_nat, &mut |t, cx| rules.source_nat.extend(source_nat(t, cx)));
    let mut forwards = |t: Table, cx: &mut Context| rules.destination_nat.extend(destination_nat(t, cx));
    read(destination, "nat.destination", &mut places.destination_nat, &mut forwards);
    let mut refuse = |t: Table, cx: &mut Context| cx.findings.add(t.span(), UnsupportedError::StaticNat);
    read(fixed, "nat.static", &mut (0..0), &mut refuse);
}

fn plain<T: Clone>(rules: &[Placed<T>]) -> Vec<T> {
    rules.iter().map(|placed| placed.rule.clone()).collect()
}

fn compare(rules: &Rules, cx: &mut Context) {
    let translates_alike = |a: &SourceNat, b: &SourceNat| a.translate == b.translate;
    unreachable(&rules.source_nat, cx, |rule| &rule.name.0, source_nat::matching, translates_alike);
    let acts_alike = |a: &FirewallRule, b: &FirewallRule| a.action == b.action;
    unreachable(&rules.firewall, cx, |rule| &rule.name.0, firewall::matching, acts_alike);
}
