//! A change of a policy while conversations are open.

use crate::differences;
use crate::network::LegIndex;
use crate::policy::{Action, Forward, Named, Policy, Rule, SourceNat, Validation, Zone};

/// Another policy than the one before. Places are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Change {
    /// The same policy again.
    Nothing,
    /// A firewall rule less.
    RemoveRule(u8),
    /// A firewall rule more, at a place.
    InsertRule(u8, Rule),
    /// Another default.
    Default(Action),
    /// A source NAT rule less.
    RemoveSourceNat(u8),
    /// A source NAT rule more, in front.
    InsertSourceNat(SourceNat),
    /// A port forward less.
    RemoveForward(u8),
    /// A port forward more, in front.
    InsertForward(Forward),
    /// Another source validation.
    Validation(LegIndex, Validation),
    /// A leg leaves its zone for another one, or for none.
    Zone(LegIndex, Option<Zone>),
}

/// The name's number of what is new.
const NEW: u8 = 200;

impl Change {
    /// Whether flows may be translated otherwise after it.
    pub fn translates(&self) -> bool {
        matches!(
            self,
            Self::RemoveSourceNat(_) | Self::InsertSourceNat(_) | Self::RemoveForward(_) | Self::InsertForward(_) | Self::Zone(..)
        )
    }

    /// The policy after the change; the same one when the daemon would refuse the changed one.
    pub fn apply(&self, policy: &Policy) -> Policy {
        let mut changed = policy.clone();
        match self {
            Self::Nothing => {}
            Self::RemoveRule(at) => remove(&mut changed.rules, *at),
            Self::InsertRule(at, rule) => {
                let at = usize::from(*at) % (changed.rules.len() + 1);
                changed.rules.insert(at, Named { number: NEW, rule: rule.clone() });
            }
            Self::Default(action) => changed.default = *action,
            Self::RemoveSourceNat(at) => remove(&mut changed.source_nat, *at),
            Self::InsertSourceNat(rule) => changed.source_nat.insert(0, Named { number: NEW, rule: rule.clone() }),
            Self::RemoveForward(at) => remove(&mut changed.forwards, *at),
            Self::InsertForward(rule) => changed.forwards.insert(0, Named { number: NEW, rule: rule.clone() }),
            Self::Validation(leg, validation) => changed.validation[*leg] = *validation,
            Self::Zone(leg, zone) => changed.zones[*leg] = *zone,
        }
        let mut changed = if crate::generate::is_valid(&changed) { changed } else { policy.clone() };
        differences::begin_rates_anew(&mut changed, self.translates());
        changed
    }
}

fn remove<T>(list: &mut Vec<T>, at: u8) {
    if !list.is_empty() {
        list.remove(usize::from(at) % list.len());
    }
}
