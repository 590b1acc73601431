//! The vocabulary of nft expressions and statements that this ruleset is written in.

use std::collections::HashSet;

use ::nftables::expr::{
    BinaryOperation, CT, Expression, Exthdr, Fib, FibFlag, FibResult, Map, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix,
    Range, SetItem,
};
use ::nftables::stmt::{Accept, Counter, Drop, JumpTarget, Mangle, Match, Operator, Statement};
use ipnet::IpNet;

/// An expression that owns what it names.
pub(super) type Expr = Expression<'static>;
/// A statement that owns what it names.
pub(super) type Stmt = Statement<'static>;

/// A name, an address, a keyword.
pub(super) fn string(text: &str) -> Expr {
    Expression::String(text.to_owned().into())
}

pub(super) fn number(number: impl Into<u32>) -> Expr {
    Expression::Number(number.into())
}

pub(super) fn meta(key: MetaKey) -> Expr {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

/// A field of a packet's header: `ip saddr`, `tcp dport`.
pub(super) fn field(protocol: &'static str, name: &'static str) -> Expr {
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(PayloadField { protocol: protocol.into(), field: name.into() })))
}

/// A field of an IPv6 extension header: `rt type`.
pub(super) fn extension(header: &'static str, field: &'static str) -> Expr {
    Expression::Named(NamedExpression::Exthdr(Exthdr { name: header.into(), field: Some(field.into()), offset: None }))
}

/// What connection tracking knows: `ct state`, `ct mark`.
pub(super) fn ct(key: &'static str) -> Expr {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir: None }))
}

pub(super) fn fib(result: FibResult, flags: &[FibFlag]) -> Expr {
    Expression::Named(NamedExpression::Fib(Fib { result, flags: flags.iter().copied().collect::<HashSet<_>>() }))
}

pub(super) fn concat(parts: impl IntoIterator<Item = Expr>) -> Expr {
    Expression::Named(NamedExpression::Concat(parts.into_iter().collect()))
}

pub(super) fn and(left: Expr, right: Expr) -> Expr {
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(left, right)))
}

pub(super) fn or(parts: impl IntoIterator<Item = Expr>) -> Expr {
    Expression::BinaryOperation(Box::new(BinaryOperation::OR(parts.into_iter().collect())))
}

/// One element alone, several as an anonymous set.
pub(super) fn one_of(items: impl IntoIterator<Item = Expr>) -> Expr {
    let mut items: Vec<Expr> = items.into_iter().collect();
    match (items.len(), items.pop()) {
        (1, Some(only)) => only,
        (_, last) => Expression::Named(NamedExpression::Set(items.into_iter().chain(last).map(SetItem::Element).collect())),
    }
}

pub(super) fn range(first: impl Into<u32>, last: impl Into<u32>) -> Expr {
    Expression::Range(Box::new(Range { range: [number(first), number(last)] }))
}

pub(super) fn prefix(net: IpNet) -> Expr {
    let address = string(&net.addr().to_string());
    if net.prefix_len() == net.max_prefix_len() {
        return address;
    }
    Expression::Named(NamedExpression::Prefix(Prefix { addr: Box::new(address), len: u32::from(net.prefix_len()) }))
}

pub(super) fn matches(left: Expr, op: Operator, right: Expr) -> Stmt {
    Statement::Match(Match { left, right, op })
}

pub(super) fn equals(left: Expr, right: Expr) -> Stmt {
    matches(left, Operator::EQ, right)
}

pub(super) fn differs(left: Expr, right: Expr) -> Stmt {
    matches(left, Operator::NEQ, right)
}

/// A named set or map, where one stands in an expression.
pub(super) fn named(set: &str) -> Expr {
    string(&format!("@{set}"))
}

/// The value of a key in a named map.
pub(super) fn look_up(key: Expr, map: &str) -> Expr {
    Expression::Named(NamedExpression::Map(Box::new(Map { key, data: named(map) })))
}

/// The states of connection tracking, any of them.
pub(super) fn ct_state(states: &[&str]) -> Stmt {
    matches(ct("state"), Operator::IN, Expression::List(states.iter().map(|state| string(state)).collect()))
}

/// The keywords of `meta l4proto`, any of them.
pub(super) fn l4proto(protocols: &[&str]) -> Stmt {
    equals(meta(MetaKey::L4proto), one_of(protocols.iter().map(|protocol| string(protocol))))
}

pub(super) fn nfproto(family: &str) -> Stmt {
    equals(meta(MetaKey::Nfproto), string(family))
}

pub(super) fn count(name: &str) -> Stmt {
    Statement::Counter(Counter::Named(name.to_owned().into()))
}

pub(super) fn set_ct_mark(value: Expr) -> Stmt {
    Statement::Mangle(Mangle { key: ct("mark"), value })
}

pub(super) fn accept() -> Stmt {
    Statement::Accept(Some(Accept {}))
}

pub(super) fn drop() -> Stmt {
    Statement::Drop(Some(Drop {}))
}

pub(super) fn goto(chain: &str) -> Stmt {
    Statement::Goto(JumpTarget { target: chain.to_owned().into() })
}
