//! Expressions: what is looked at, and what it is held against.

use ::nftables::expr::{BinaryOperation, CTDir, FibFlag, FibResult, MetaKey, NamedExpression, Payload, SetItem};

use super::quoted;
use crate::nftables::expression::Expr;

/// What the words and numbers of an expression are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As they stand.
    Plain,
    /// Numbers are marks: each hexadecimal digit has its meaning.
    Mark,
    /// Words are interfaces' names, which may be spelled like anything.
    Interface,
}

pub(super) fn expression(expression: &Expr, style: Style) -> String {
    let each = |list: &[Expr], between: &str| list.iter().map(|part| self::expression(part, style)).collect::<Vec<_>>().join(between);
    match expression {
        Expr::String(name) if style == Style::Interface && !name.starts_with('@') => quoted(name),
        Expr::String(text) => text.to_string(),
        Expr::Number(number) if style == Style::Mark => format!("0x{number:08x}"),
        Expr::Number(number) => number.to_string(),
        Expr::Boolean(true) => "exists".to_owned(),
        Expr::Boolean(false) => "missing".to_owned(),
        Expr::List(list) => each(list, ","),
        Expr::Range(range) => each(&range.range, "-"),
        Expr::BinaryOperation(operation) => binary(operation, style),
        Expr::Named(named) => self::named(named, style),
        // Verdicts stand in verdict maps, which this ruleset has none of.
        Expr::Verdict(_) => String::new(),
    }
}

fn binary(operation: &BinaryOperation<'static>, style: Style) -> String {
    let operands = |parts: &[&Expr], operator: &str| {
        let operand = |part: &&Expr| match part {
            Expr::BinaryOperation(_) => format!("({})", expression(part, style)),
            other => expression(other, style),
        };
        parts.iter().map(operand).collect::<Vec<_>>().join(operator)
    };
    match operation {
        BinaryOperation::AND(left, right) => operands(&[left, right], " & "),
        BinaryOperation::OR(parts) => operands(&parts.iter().collect::<Vec<_>>(), " | "),
        BinaryOperation::XOR(left, right) => operands(&[left, right], " ^ "),
        BinaryOperation::LSHIFT(left, right) => operands(&[left, right], " << "),
        BinaryOperation::RSHIFT(left, right) => operands(&[left, right], " >> "),
    }
}

fn named(named: &NamedExpression<'static>, style: Style) -> String {
    let one = |expression: &Expr| self::expression(expression, style);
    match named {
        NamedExpression::Concat(parts) => parts.iter().map(one).collect::<Vec<_>>().join(" . "),
        NamedExpression::Set(items) => {
            let item = |item: &SetItem<'static>| match item {
                SetItem::Element(element) => one(element),
                SetItem::Mapping(key, value) => format!("{} : {}", one(key), one(value)),
                SetItem::MappingStatement(key, _) => one(key),
            };
            format!("{{ {} }}", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        NamedExpression::Map(map) => format!("{} map {}", one(&map.key), one(&map.data)),
        NamedExpression::Prefix(prefix) => format!("{}/{}", one(&prefix.addr), prefix.len),
        NamedExpression::Payload(Payload::PayloadField(field)) => format!("{} {}", field.protocol, field.field),
        NamedExpression::Exthdr(header) => format!("{} {}", header.name, header.field.as_deref().unwrap_or_default()),
        NamedExpression::Meta(meta) => self::meta(meta.key).to_owned(),
        NamedExpression::CT(ct) => match ct.dir {
            None => format!("ct {}", ct.key),
            Some(CTDir::Original) => format!("ct original {}", ct.key),
            Some(CTDir::Reply) => format!("ct reply {}", ct.key),
        },
        NamedExpression::JHash(hash) => {
            let seed = hash.seed.map_or_else(String::new, |seed| format!(" seed 0x{seed:08x}"));
            format!("jhash {} mod {}{seed}", one(&hash.expr), hash.hash_mod)
        }
        NamedExpression::Fib(fib) => {
            let order = [
                (FibFlag::Saddr, "saddr"),
                (FibFlag::Daddr, "daddr"),
                (FibFlag::Mark, "mark"),
                (FibFlag::Iif, "iif"),
                (FibFlag::Oif, "oif"),
            ];
            let flags: Vec<&str> = order.iter().filter(|(flag, _)| fib.flags.contains(flag)).map(|(_, name)| *name).collect();
            let result = match fib.result {
                FibResult::Oif => "oif",
                FibResult::Oifname => "oifname",
                FibResult::Type => "type",
            };
            format!("fib {} {result}", flags.join(" . "))
        }
        // What this ruleset does not use. nft would refuse the gap, and nothing would be applied.
        _ => String::new(),
    }
}

fn meta(key: MetaKey) -> &'static str {
    match key {
        MetaKey::Iifname => "iifname",
        MetaKey::Oifname => "oifname",
        MetaKey::L4proto => "meta l4proto",
        MetaKey::Nfproto => "meta nfproto",
        MetaKey::Pkttype => "meta pkttype",
        // As above.
        _ => "",
    }
}

/// What stands to the right of `left` in a match.
pub(super) fn style_beside(left: &Expr) -> Style {
    match left {
        Expr::Named(NamedExpression::Meta(meta)) if matches!(meta.key, MetaKey::Iifname | MetaKey::Oifname) => Style::Interface,
        // A part of a mark is a mark; flags of TCP are words.
        Expr::BinaryOperation(operation) if matches!(**operation, BinaryOperation::AND(..)) => Style::Mark,
        _ => Style::Plain,
    }
}
