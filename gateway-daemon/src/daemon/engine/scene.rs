//! What engines work from, and how what they number is called.

use gateway_ebpf::abi::RuleId;

use crate::instance::InstanceName;
use crate::inventory::{IfIndex, Inventory};
use crate::model::{Model, RuleName};
use crate::plan::{Numbers, Plan};

/// What people call the rule that is no rule.
pub const DEFAULT_RULE: &str = "default";

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
