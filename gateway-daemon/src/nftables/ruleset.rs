//! Collects the commands of one transaction on one table.

use std::collections::HashSet;

use ::nftables::batch::Batch;
use ::nftables::expr::{Expression, NamedExpression, Prefix};
use ::nftables::schema::{Chain, NfCmd, NfListObject, Nftables, Rule, Set, SetFlag, SetType, SetTypeValue, Table};
use ::nftables::stmt::Statement;
use ::nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use ipnet::IpNet;

use super::guard::{Counted, string};

/// Collects the commands of one transaction on one table.
pub(super) struct Ruleset {
    table: String,
    batch: Batch<'static>,
}

impl Ruleset {
    pub(super) fn new(table: String) -> Self {
        Self { table, batch: Batch::new() }
    }

    fn listed_table(&self) -> NfListObject<'static> {
        NfListObject::Table(Table { family: NfFamily::INet, name: self.table.clone().into(), handle: None })
    }

    pub(super) fn table(&mut self) {
        self.batch.add(self.listed_table());
    }

    pub(super) fn delete_table(&mut self) {
        self.batch.add_cmd(NfCmd::Delete(self.listed_table()));
    }

    /// A chain that the kernel calls at `hook`, and that accepts what no rule decides.
    pub(super) fn chain(&mut self, name: &str, hook: NfHook, priority: i32) {
        let mut chain = self.unhooked(name);
        chain._type = Some(NfChainType::Filter);
        chain.hook = Some(hook);
        chain.prio = Some(priority);
        chain.policy = Some(NfChainPolicy::Accept);
        self.batch.add(NfListObject::Chain(chain));
    }

    /// A chain that rules go to.
    pub(super) fn plain_chain(&mut self, name: &str) {
        let chain = self.unhooked(name);
        self.batch.add(NfListObject::Chain(chain));
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

    pub(super) fn set(&mut self, name: &str, set_type: SetType, elements: Vec<Expression<'static>>) {
        let flags = (set_type != SetType::Ifname).then(|| HashSet::from([SetFlag::Interval]));
        self.batch.add(NfListObject::Set(Box::new(Set {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            name: name.to_owned().into(),
            set_type: SetTypeValue::Single(set_type),
            flags,
            elem: (!elements.is_empty()).then(|| elements.into()),
            ..Set::default()
        })));
    }

    /// A set of prefixes of one family; they may overlap.
    pub(super) fn prefixes(&mut self, name: &str, set_type: SetType, prefixes: &Vec<IpNet>) {
        // nft refuses overlapping intervals.
        let elements = IpNet::aggregate(prefixes).into_iter().map(prefix).collect();
        self.set(name, set_type, elements);
    }

    pub(super) fn rule(&mut self, chain: &str, statements: Vec<Statement<'static>>, counted: Option<&Counted>) {
        self.batch.add(NfListObject::Rule(Rule {
            family: NfFamily::INet,
            table: self.table.clone().into(),
            chain: chain.to_owned().into(),
            expr: statements.into(),
            handle: None,
            index: None,
            comment: counted.map(|counted| counted.comment().into()),
        }));
    }

    pub(super) fn finish(self) -> Nftables<'static> {
        self.batch.to_nftables()
    }
}

fn prefix(net: IpNet) -> Expression<'static> {
    let address = string(&net.addr().to_string());
    if net.prefix_len() == net.max_prefix_len() {
        return address;
    }
    Expression::Named(NamedExpression::Prefix(Prefix { addr: Box::new(address), len: u32::from(net.prefix_len()) }))
}
