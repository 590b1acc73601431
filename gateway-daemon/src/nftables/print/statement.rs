//! Statements: what a rule does, and the rule as a line.

use ::nftables::schema::Rule;
use ::nftables::stmt::{Counter, Limit, Log, LogLevel, NAT, NATFamily, NATFlag, Operator, Reject, RejectType, Statement};

use super::comment;
use super::expression::{Style, expression, style_beside};
use super::quoted;
use crate::nftables::expression::Stmt;

pub(super) fn rule(rule: &Rule<'static>) -> String {
    let mut parts: Vec<String> = rule.expr.iter().map(statement).collect();
    parts.extend(rule.comment.as_deref().map(comment));
    parts.join(" ")
}

fn statement(statement: &Stmt) -> String {
    match statement {
        Statement::Accept(_) => "accept".to_owned(),
        Statement::Drop(_) => "drop".to_owned(),
        Statement::Goto(target) => format!("goto {}", target.target),
        Statement::Jump(target) => format!("jump {}", target.target),
        Statement::Match(matched) => {
            let style = style_beside(&matched.left);
            let operator = match matched.op {
                Operator::NEQ => "!= ",
                Operator::LT => "< ",
                Operator::GT => "> ",
                Operator::LEQ => "<= ",
                Operator::GEQ => ">= ",
                // nft's default: equal, one of a set, or any of some bits.
                _ => "",
            };
            format!("{} {operator}{}", expression(&matched.left, style), expression(&matched.right, style))
        }
        Statement::Counter(Counter::Named(name)) => format!("counter name {}", quoted(name)),
        Statement::Counter(Counter::Anonymous(_)) => "counter".to_owned(),
        Statement::Mangle(mangle) => {
            format!("{} set {}", expression(&mangle.key, Style::Plain), expression(&mangle.value, Style::Mark))
        }
        Statement::Flow(flow) => format!("flow add @{}", flow.flowtable),
        Statement::SNAT(Some(nat)) => translation("snat", nat),
        Statement::DNAT(Some(nat)) => translation("dnat", nat),
        Statement::Masquerade(nat) => nat.as_ref().map_or_else(|| "masquerade".to_owned(), |nat| translation("masquerade", nat)),
        Statement::Reject(reject) => reject.as_ref().map_or_else(|| "reject".to_owned(), self::reject),
        Statement::Log(log) => log.as_ref().map_or_else(|| "log".to_owned(), self::log),
        Statement::Limit(limit) => self::limit(limit),
        // What this ruleset does not use. nft would refuse the gap, and nothing would be applied.
        _ => String::new(),
    }
}

fn translation(verb: &str, nat: &NAT<'static>) -> String {
    let mut text = verb.to_owned();
    if let Some(family) = nat.family {
        text.push_str(if family == NATFamily::IP { " ip" } else { " ip6" });
    }
    if nat.addr.is_some() || nat.port.is_some() {
        text.push_str(" to ");
    }
    text.extend(nat.addr.as_ref().map(|address| expression(address, Style::Plain)));
    text.extend(nat.port.as_ref().map(|port| format!(":{}", expression(port, Style::Plain))));
    let order = [(NATFlag::Random, "random"), (NATFlag::FullyRandom, "fully-random"), (NATFlag::Persistent, "persistent")];
    let flags: Vec<&str> =
        order.iter().filter(|(flag, _)| nat.flags.iter().any(|flags| flags.contains(flag))).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        text.push(' ');
        text.push_str(&flags.join(","));
    }
    text
}

fn limit(limit: &Limit<'static>) -> String {
    let over = if limit.inv == Some(true) { "over " } else { "" };
    let mut text = format!("limit rate {over}{}/{}", limit.rate, limit.per.as_deref().unwrap_or("second"));
    if let Some(burst) = limit.burst {
        text.push_str(&format!(" burst {burst} packets"));
    }
    text
}

fn reject(reject: &Reject) -> String {
    match reject._type {
        Some(RejectType::TCPReset) => "reject with tcp reset".to_owned(),
        // The one code that is used.
        Some(RejectType::ICMPX) => "reject with icmpx admin-prohibited".to_owned(),
        _ => "reject".to_owned(),
    }
}

fn log(log: &Log<'static>) -> String {
    let mut text = "log".to_owned();
    text.extend(log.prefix.as_deref().map(|prefix| format!(" prefix {}", quoted(prefix))));
    if log.level == Some(LogLevel::Info) {
        text.push_str(" level info");
    }
    text
}
