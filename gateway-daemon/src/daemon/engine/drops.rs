//! `gateway drops`, whoever has counted.

use gateway_ebpf::abi::{DropReason, Reason};

use super::scene::DEFAULT_RULE;
use crate::control::view::{DropsView, ReasonView, RuleAction, RuleView};
use crate::model::{Action, Model};

/// Counters of the whole policy: `hits` are those of the firewall's rules, in their order.
pub fn drops(model: &Model, reasons: Vec<(Reason, u64)>, hits: Vec<u64>) -> DropsView {
    let mut rules = Vec::new();
    let mut accepted = Vec::new();
    for (rule, packets) in model.firewall.rules.iter().zip(hits) {
        let list = if rule.action == Action::Accept { &mut accepted } else { &mut rules };
        list.push(RuleView { rule: rule.name.0.clone(), action: action(rule.action), packets });
    }
    // What no rule matched is refused by the default, which people look for in the same place.
    let by_default = |(reason, _): &&(Reason, u64)| matches!(reason, Reason::Drop(DropReason::DefaultDrop | DropReason::DefaultReject));
    let packets: u64 = reasons.iter().filter(by_default).map(|(_, packets)| packets).sum();
    if packets > 0 {
        let action = if model.firewall.default == Action::Reject { RuleAction::Reject } else { RuleAction::Drop };
        rules.push(RuleView { rule: DEFAULT_RULE.to_owned(), action, packets });
    }
    let reasons = reasons.into_iter().map(|(reason, packets)| ReasonView::new(reason, packets)).collect();
    DropsView { reasons, rules, accepted }
}

fn action(action: Action) -> RuleAction {
    match action {
        Action::Accept => RuleAction::Accept,
        Action::Drop => RuleAction::Drop,
        Action::Reject => RuleAction::Reject,
    }
}
