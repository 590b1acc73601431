//! Objects of a table: sets, maps, flowtables, and the head of a chain.

use std::collections::HashSet;
use std::fmt::Write as _;

use ::nftables::schema::{Chain, FlowTable, Map, Set, SetFlag, SetType, SetTypeValue};
use ::nftables::types::{NfChainPolicy, NfChainType, NfHook};

use super::expression::{Style, expression};
use super::{comment, quoted};
use crate::nftables::expression::Expr;

/// As wide as the lines of elements get.
const WIDTH: usize = 100;

pub(super) fn set(set: &Set<'static>) -> String {
    let mut block = format!("\tset {} {{\n\t\ttype {}\n", set.name, type_of(&set.set_type));
    properties(&mut block, set.flags.as_ref(), set.comment.as_deref());
    let style = style_of(&set.set_type);
    elements(&mut block, set.elem.as_deref().unwrap_or_default().iter().map(|element| expression(element, style)));
    block + "\t}"
}

pub(super) fn map(map: &Map<'static>) -> String {
    let mut block = format!("\tmap {} {{\n\t\ttype {} : {}\n", map.name, type_of(&map.set_type), type_of(&map.map));
    properties(&mut block, map.flags.as_ref(), map.comment.as_deref());
    let (keys, values) = (style_of(&map.set_type), style_of(&map.map));
    let element = |element: &Expr| match element {
        Expr::List(pair) => match pair.as_slice() {
            [key, value] => format!("{} : {}", expression(key, keys), expression(value, values)),
            _ => String::new(),
        },
        other => expression(other, keys),
    };
    elements(&mut block, map.elem.as_deref().unwrap_or_default().iter().map(element));
    block + "\t}"
}

pub(super) fn flowtable(table: &FlowTable<'_>) -> String {
    let devices: Vec<String> = table.dev.as_deref().unwrap_or_default().iter().map(|device| quoted(device)).collect();
    let priority = table.prio.unwrap_or_default();
    // The crate's type has no place for the flag. Without it, connection tracking would not know what the flowtable forwards.
    format!(
        "\tflowtable {} {{\n\t\thook ingress priority {priority};\n\t\tdevices = {{ {} }};\n\t\tcounter;\n\t}}",
        table.name,
        devices.join(", ")
    )
}

/// Without the closing brace.
pub(super) fn chain(chain: &Chain<'_>) -> String {
    let mut block = format!("\tchain {} {{", chain.name);
    if let (Some(kind), Some(hook)) = (chain._type, chain.hook) {
        let kind = match kind {
            NfChainType::Filter => "filter",
            NfChainType::Route => "route",
            NfChainType::NAT => "nat",
        };
        let policy = if chain.policy == Some(NfChainPolicy::Drop) { "drop" } else { "accept" };
        let _ = write!(block, "\n\t\ttype {kind} hook {} priority {}; policy {policy};", hook_name(hook), chain.prio.unwrap_or_default());
    }
    block
}

fn hook_name(hook: NfHook) -> &'static str {
    match hook {
        NfHook::Ingress => "ingress",
        NfHook::Prerouting => "prerouting",
        NfHook::Forward => "forward",
        NfHook::Input => "input",
        NfHook::Output => "output",
        NfHook::Postrouting => "postrouting",
        NfHook::Egress => "egress",
    }
}

fn properties(block: &mut String, flags: Option<&HashSet<SetFlag>>, text: Option<&str>) {
    if flags.is_some_and(|flags| flags.contains(&SetFlag::Interval)) {
        block.push_str("\t\tflags interval\n");
    }
    if let Some(text) = text {
        let _ = writeln!(block, "\t\t{}", comment(text));
    }
}

/// As many to a line as fit.
fn elements(block: &mut String, elements: impl Iterator<Item = String>) {
    let mut width = 0;
    for (position, element) in elements.enumerate() {
        if position == 0 {
            block.push_str("\t\telements = {\n\t\t\t");
        } else if width + element.len() > WIDTH {
            block.push_str(",\n\t\t\t");
            width = 0;
        } else {
            block.push_str(", ");
            width += 2;
        }
        width += element.len();
        block.push_str(&element);
    }
    if width > 0 {
        block.push_str("\n\t\t}\n");
    }
}

fn type_of(types: &SetTypeValue<'_>) -> String {
    match types {
        SetTypeValue::Single(only) => type_name(*only).to_owned(),
        SetTypeValue::Concatenated(several) => several.iter().map(|one| type_name(*one)).collect::<Vec<_>>().join(" . "),
    }
}

fn style_of(types: &SetTypeValue<'_>) -> Style {
    let has = |wanted: SetType| match types {
        SetTypeValue::Single(only) => *only == wanted,
        SetTypeValue::Concatenated(several) => several.contains(&wanted),
    };
    match (has(SetType::Ifname), has(SetType::Mark)) {
        (true, _) => Style::Interface,
        (false, true) => Style::Mark,
        (false, false) => Style::Plain,
    }
}

fn type_name(set_type: SetType) -> &'static str {
    match set_type {
        SetType::Ipv4Addr => "ipv4_addr",
        SetType::Ipv6Addr => "ipv6_addr",
        SetType::EtherAddr => "ether_addr",
        SetType::InetProto => "inet_proto",
        SetType::InetService => "inet_service",
        SetType::Mark => "mark",
        SetType::Ifname => "ifname",
    }
}
