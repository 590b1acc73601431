//! What makes the kernel forward by the policy: the eBPF programs beside a guard table.

mod ebpf;

use gateway_ebpf::abi::{DropReason, Reason, RuleId};

pub use ebpf::{Ebpf, Told};

use crate::control::view::{Datapath, DropsView, ReasonView, RuleAction, RuleView};
use crate::instance::InstanceName;
use crate::inventory::{IfIndex, Inventory};
use crate::model::{Action, Model, RuleName};
use crate::plan::{Numbers, Plan};

/// What people call the rule that is no rule.
const DEFAULT_RULE: &str = "default";

/// The policy and the network, as far as engines need them.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Which gateway.
    pub instance: &'a InstanceName,
    /// The policy in force.
    pub model: &'a Model,
    /// The network.
    pub inventory: &'a Inventory,
    /// Numbers of rules and zones.
    pub numbers: &'a Numbers,
    /// The last plan that was applied.
    pub plan: &'a Plan,
}

impl Scene<'_> {
    /// The zone of an interface; `-` of one that is gone.
    pub fn zone_of(&self, index: IfIndex) -> String {
        self.plan.interfaces.get(&index).map_or_else(|| "-".to_owned(), |planned| planned.zone.0.clone())
    }

    /// The rule of that number; 0 is the default.
    pub fn rule_name(&self, id: RuleId) -> String {
        if id.0 == 0 {
            return DEFAULT_RULE.to_owned();
        }
        self.numbers.rule_name(id).map_or_else(|| format!("#{}", id.0), |RuleName(name)| name.clone())
    }
}

/// How an engine carries an interface's packets.
pub struct Carried {
    /// What handles them.
    pub datapath: Datapath,
    /// How it is attached.
    pub attach: String,
    /// Why so, as a sentence.
    pub reason: String,
}

/// Counters of the whole policy: `hits` are those of the firewall's rules, in their order.
fn drops(model: &Model, reasons: Vec<(Reason, u64)>, hits: Vec<u64>) -> DropsView {
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
