//! One table and all that is in it, collected object by object.

use std::collections::{BTreeMap, HashMap, HashSet};

use ::nftables::schema::{Chain, Counter, FlowTable, Map, NfListObject, Rule, Set, SetFlag, SetType, SetTypeValue, Table};
use ::nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use ipnet::IpNet;

use super::counted::Counted;
use super::expression::{Expr, Stmt, prefix};
use super::names::Names;
use crate::model::RuleName;

/// An object, and the policy's rule that it was made for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub object: NfListObject<'static>,
    pub rule: Option<RuleName>,
}

/// One table with everything in it: what nft is to make of a policy, whatever there was before.
#[derive(Clone, Debug)]
pub struct Ruleset {
    table: String,
    pub(super) objects: Vec<Object>,
    /// What each counter object counts.
    pub(super) counters: BTreeMap<String, Counted>,
    names: Names,
    /// The counter of what is counted, once asked for.
    given: HashMap<Counted, String>,
}

/// Equal rulesets need not be applied again.
impl PartialEq for Ruleset {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table && self.objects == other.objects && self.counters == other.counters
    }
}

/// The table's name: `gateway_<instance>`. Characters outside `[a-z0-9]` become `_` and their code point in hex, and `_` is doubled, so
/// that two instances never share a table.
#[must_use]
pub fn table_name(instance: &str) -> String {
    let mut name = String::from("gateway_");
    for character in instance.chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            '_' => name.push_str("__"),
            other => name.push_str(&format!("_{:x}", u32::from(other))),
        }
    }
    name
}

/// A chain's place in the kernel's path, and when its turn is there: lower comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    pub kind: NfChainType,
    pub hook: NfHook,
    pub priority: i32,
}

impl Ruleset {
    /// An empty table of the instance.
    pub(super) fn new(instance: &str) -> Self {
        let table = table_name(instance);
        let listed = NfListObject::Table(Table { family: NfFamily::INet, name: table.clone().into(), handle: None });
        Self {
            table,
            objects: vec![Object { object: listed, rule: None }],
            counters: BTreeMap::new(),
            names: Names::default(),
            given: HashMap::new(),
        }
    }

    /// The table's name.
    #[must_use]
    pub fn table_name(&self) -> &str {
        &self.table
    }

    /// Everything in the table, as the crate `nftables` has it, in the order in which it must be added.
    pub fn objects(&self) -> impl Iterator<Item = &NfListObject<'static>> {
        self.objects.iter().map(|object| &object.object)
    }

    /// How many rules it has.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.objects().filter(|object| matches!(object, NfListObject::Rule(_))).count()
    }

    fn add(&mut self, object: NfListObject<'static>, rule: Option<&RuleName>) {
        self.objects.push(Object { object, rule: rule.cloned() });
    }

    /// An identifier that nothing else in the table has.
    pub(super) fn name(&mut self, kind: &str, name: &str) -> String {
        self.names.give(kind, name)
    }

    /// The counter object for this, made when it is first asked for.
    pub(super) fn counter(&mut self, counted: Counted) -> String {
        if let Some(name) = self.given.get(&counted) {
            return name.clone();
        }
        let name = counted.name(&mut self.names);
        let rule = match &counted {
            Counted::Rule(rule) | Counted::OverRate(rule) => Some(rule.clone()),
            _ => None,
        };
        let counter = Counter {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.clone().into(),
            handle: None,
            packets: None,
            bytes: None,
        };
        self.add(NfListObject::Counter(counter), rule.as_ref());
        self.counters.insert(name.clone(), counted.clone());
        self.given.insert(counted, name.clone());
        name
    }

    /// A chain that the kernel calls, and that accepts what no rule decides.
    pub(super) fn chain(&mut self, name: &str, hook: Hook) {
        let chain = Chain {
            _type: Some(hook.kind),
            hook: Some(hook.hook),
            prio: Some(hook.priority),
            policy: Some(NfChainPolicy::Accept),
            ..self.unhooked(name)
        };
        self.add(NfListObject::Chain(chain), None);
    }

    /// A chain that rules go to.
    pub(super) fn plain_chain(&mut self, name: &str) {
        let chain = self.unhooked(name);
        self.add(NfListObject::Chain(chain), None);
    }

    fn unhooked(&self, name: &str) -> Chain<'static> {
        Chain {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.to_owned().into(),
            newname: None,
            handle: None,
            _type: None,
            hook: None,
            prio: None,
            dev: None,
            policy: None,
        }
    }

    /// A set; `comment` is for those who read it.
    pub(super) fn set(
        &mut self,
        name: &str,
        set_type: SetType,
        elements: Vec<Expr>,
        comment: Option<&'static str>,
        rule: Option<&RuleName>,
    ) {
        let flags = elements.iter().any(is_interval).then(|| HashSet::from([SetFlag::Interval]));
        let set = Set {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.to_owned().into(),
            set_type: SetTypeValue::Single(set_type),
            flags,
            elem: (!elements.is_empty()).then(|| elements.into()),
            comment: comment.map(Into::into),
            ..Set::default()
        };
        self.add(NfListObject::Set(Box::new(set)), rule);
    }

    /// A set of prefixes of one family that do not overlap.
    pub(super) fn prefixes(&mut self, name: &str, set_type: SetType, prefixes: impl IntoIterator<Item = IpNet>, rule: Option<&RuleName>) {
        self.set(name, set_type, prefixes.into_iter().map(prefix).collect(), None, rule);
    }

    /// A map; each element is a key and a value.
    pub(super) fn map(&mut self, name: &str, key: &[SetType], value: &[SetType], elements: Vec<(Expr, Expr)>, rule: Option<&RuleName>) {
        let type_of = |types: &[SetType]| match types {
            [single] => SetTypeValue::Single(*single),
            several => SetTypeValue::Concatenated(several.to_vec().into()),
        };
        let elements: Vec<Expr> = elements.into_iter().map(|(key, value)| Expr::List(vec![key, value])).collect();
        let map = Map {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.to_owned().into(),
            handle: None,
            set_type: type_of(key),
            map: type_of(value),
            policy: None,
            flags: None,
            elem: (!elements.is_empty()).then(|| elements.into()),
            timeout: None,
            gc_interval: None,
            size: None,
            comment: None,
        };
        self.add(NfListObject::Map(Box::new(map)), rule);
    }

    /// A flowtable over these devices.
    pub(super) fn flowtable(&mut self, name: &str, devices: Vec<String>) {
        let table = FlowTable {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.to_owned().into(),
            handle: None,
            hook: Some(NfHook::Ingress),
            prio: Some(0),
            dev: Some(devices.into_iter().map(Into::into).collect()),
        };
        self.add(NfListObject::FlowTable(table), None);
    }

    /// A rule at the end of a chain. `rule` is the policy's, whose name is its comment.
    pub(super) fn rule(&mut self, chain: &str, statements: Vec<Stmt>, rule: Option<&RuleName>) {
        let listed = Rule {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            chain: chain.to_owned().into(),
            expr: statements.into(),
            handle: None,
            index: None,
            comment: rule.map(|rule| rule.0.clone().into()),
        };
        self.add(NfListObject::Rule(listed), rule);
    }
}

fn is_interval(element: &Expr) -> bool {
    use ::nftables::expr::NamedExpression;
    matches!(element, Expr::Named(NamedExpression::Prefix(_)) | Expr::Range(_))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::table_name;

    #[test]
    fn instances_never_share_a_table() {
        let names: HashSet<String> = ["a-b", "a_b", "a.b", "A-b", "a_2db", "a__b", "ab"].into_iter().map(table_name).collect();
        assert_eq!(names.len(), 7);
        let valid = |name: &String| name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
        assert!(names.iter().all(valid), "{names:?}");
    }
}
