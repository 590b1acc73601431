//! `[sets]`, and a rule's `source` and `destination`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::error::{LimitError, ReferenceError, Suggestion, UnsupportedError};
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use super::value::Value;
use crate::model::{AddressMatch, AddressSet, SetIndex};

/// Sets in sets in sets: more is a mistake, and would be a deep recursion.
const DEPTH: usize = 16;
const EXAMPLE: &str = "[\"10.0.0.0/8\", \"@name\"]";
const ELEMENT: &str = "\"10.0.0.0/8\"";

/// An element of a set as written.
enum Element {
    Prefix(IpNet),
    Set(usize),
}

struct Written {
    name: String,
    span: Range<usize>,
    elements: Vec<Element>,
}

/// The sets of a policy.
#[derive(Debug, Default)]
pub(super) struct Sets {
    list: Vec<AddressSet>,
    index: HashMap<String, usize>,
}

/// Where the addresses stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressUse {
    /// Both families.
    Firewall,
    /// IPv4 only.
    Nat,
}

impl Sets {
    pub fn read(table: Table, findings: &mut Findings) -> Self {
        let entries: Vec<_> = table.into_entries().collect();
        let mut sets = Self { list: Vec::new(), index: HashMap::new() };
        sets.index.extend(entries.iter().enumerate().map(|(i, (_, value))| (value.key.to_owned(), i)));
        let mut written = Vec::new();
        for (span, value) in entries {
            if let Err(error) = scalar::name("set", value.key) {
                findings.add(span.clone(), error);
            }
            let mut elements = Vec::new();
            for element in value.list(findings, EXAMPLE).unwrap_or_default() {
                elements.extend(sets.element(element, findings));
            }
            written.push(Written { name: value.key.to_owned(), span, elements });
        }
        sets.list = (0..written.len()).map(|i| expand(&written, i, findings)).collect();
        sets
    }

    fn element(&self, value: Value, findings: &mut Findings) -> Option<Element> {
        let text = value.string(findings, ELEMENT)?;
        let Some(name) = text.strip_prefix('@') else {
            return value.parsed(findings, ELEMENT, scalar::prefix).map(Element::Prefix);
        };
        let index = self.index.get(name).copied();
        if index.is_none() {
            let mut known: Vec<&str> = self.index.keys().map(String::as_str).collect();
            known.sort_unstable();
            findings.add(value.span(), ReferenceError::UnknownSet(name.to_owned(), Suggestion::new(name, known)));
        }
        index.map(Element::Set)
    }

    /// A rule's `source` or `destination`; without the key, any address.
    pub fn resolve(&self, value: Option<Value>, place: AddressUse, findings: &mut Findings) -> AddressMatch {
        let mut matched = AddressMatch::default();
        for element in value.and_then(|v| v.list(findings, EXAMPLE)).unwrap_or_default() {
            match self.element(element, findings) {
                Some(Element::Prefix(net)) => {
                    if place == AddressUse::Nat && net.addr().is_ipv6() {
                        findings.add(element.span(), UnsupportedError::Ipv6Nat(net.addr()));
                    } else if !matched.prefixes.contains(&net) {
                        matched.prefixes.push(net);
                    }
                }
                Some(Element::Set(index)) => {
                    let set = &self.list[index];
                    if place == AddressUse::Nat && !set.members.is_empty() && set.members.iter().all(|n| n.addr().is_ipv6()) {
                        findings.add(element.span(), UnsupportedError::Ipv6NatSet(set.name.clone()));
                    } else if !matched.sets.contains(&SetIndex(index)) {
                        matched.sets.push(SetIndex(index));
                    }
                }
                None => {}
            }
        }
        matched
    }

    /// Every prefix that a rule's addresses stand for.
    pub fn prefixes<'s>(&'s self, matched: &'s AddressMatch) -> impl Iterator<Item = IpNet> + 's {
        let named = matched.sets.iter().flat_map(|set| self.list[set.0].members.iter());
        named.chain(&matched.prefixes).copied()
    }

    /// True when some packet can have its source in `source` and its destination in `destination`.
    pub fn share_family(&self, source: &AddressMatch, destination: &AddressMatch) -> bool {
        let has = |matched: &AddressMatch, family: fn(&IpAddr) -> bool| {
            // A set without members is one whose members are wrong, and has been reported.
            self.prefixes(matched).next().is_none() || self.prefixes(matched).any(|net| family(&net.addr()))
        };
        [IpAddr::is_ipv4, IpAddr::is_ipv6].iter().any(|family| has(source, *family) && has(destination, *family))
    }

    pub fn list(&self) -> &[AddressSet] {
        &self.list
    }

    pub fn into_list(self) -> Vec<AddressSet> {
        self.list
    }
}

fn expand(written: &[Written], index: usize, findings: &mut Findings) -> AddressSet {
    let mut members = Members::default();
    let mut path = vec![index];
    if let Err(error) = members.add(written, &mut path) {
        match error {
            // Each set of the circle reports itself, each where it is defined.
            Circle::Through(other) if other != index => {}
            Circle::Through(_) => findings.add(written[index].span.clone(), ReferenceError::SetCycle(written[index].name.clone())),
            Circle::Deep => findings.add(written[index].span.clone(), LimitError::SetDepth(DEPTH)),
        }
    }
    AddressSet { name: written[index].name.clone(), members: members.list }
}

enum Circle {
    Through(usize),
    Deep,
}

/// Members in the order of the text, each once.
#[derive(Default)]
struct Members {
    list: Vec<IpNet>,
    seen: HashSet<IpNet>,
    visited: HashSet<usize>,
}

impl Members {
    /// Adds the set at the end of `path`, whose sets contain each other in turn.
    fn add(&mut self, written: &[Written], path: &mut Vec<usize>) -> Result<(), Circle> {
        let Some(&current) = path.last() else {
            return Ok(());
        };
        if path.len() > DEPTH {
            return Err(Circle::Deep);
        }
        for element in &written[current].elements {
            match element {
                Element::Prefix(net) => {
                    if self.seen.insert(*net) {
                        self.list.push(*net);
                    }
                }
                Element::Set(inner) if path.contains(inner) => return Err(Circle::Through(*inner)),
                // What is already in is in, circles excepted, which the line above has found.
                Element::Set(inner) => {
                    if self.visited.insert(*inner) {
                        path.push(*inner);
                        self.add(written, path)?;
                        path.pop();
                    }
                }
            }
        }
        Ok(())
    }
}
