//! The ruleset in nft's own language (nft(8)): for people to read, and at the same time the very text that is applied, so that the lines
//! in nft's messages are lines that can be looked at.

mod expression;
mod object;
mod statement;

use std::collections::HashMap;
use std::fmt::Write as _;

use ::nftables::schema::NfListObject;

use super::counted::{Count, Counted};
use super::ruleset::{Object, Ruleset};
use crate::model::RuleName;

/// nft keeps 128 bytes of a comment, with the final zero (`NFTNL_UDATA_COMMENT_MAXLEN`).
const COMMENT_BYTES: usize = 127;

/// The longest start of `text` that has at most `bytes` bytes.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A string in nft's quotes. nft knows no escapes, so a quote in a rule's name becomes an apostrophe.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "'"))
}

/// A comment, as an object's or a rule's property.
fn comment(text: &str) -> String {
    format!("comment {}", quoted(cut(text, COMMENT_BYTES)))
}

/// A ruleset as text.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Commands for `nft -f`: the table is replaced as a whole, in one transaction.
    pub text: String,
    /// First and last line of what was made from a rule of the policy, in order.
    lines: Vec<(usize, usize, RuleName)>,
}

impl Printed {
    /// The policy's rule that line `line`, counted from 1, was made from.
    #[must_use]
    pub fn rule(&self, line: usize) -> Option<&RuleName> {
        let behind = self.lines.partition_point(|(first, _, _)| *first <= line);
        let (_, last, rule) = self.lines[..behind].last()?;
        (line <= *last).then_some(rule)
    }
}

/// Writes lines and counts them.
#[derive(Default)]
struct Page {
    text: String,
    line: usize,
    lines: Vec<(usize, usize, RuleName)>,
}

impl Page {
    /// Writes what is one or more whole lines.
    fn put(&mut self, lines: &str, rule: Option<&RuleName>) {
        let first = self.line + 1;
        self.text.push_str(lines);
        self.text.push('\n');
        self.line += 1 + lines.matches('\n').count();
        if let Some(rule) = rule {
            self.lines.push((first, self.line, rule.clone()));
        }
    }
}

impl Ruleset {
    /// The text that is applied.
    #[must_use]
    pub fn print(&self) -> Printed {
        self.print_with(&[])
    }

    /// The same, with counters that go on from `start`.
    #[must_use]
    pub fn print_with(&self, start: &[Count]) -> Printed {
        let table = self.table_name();
        let start: HashMap<&Counted, &Count> = start.iter().map(|count| (&count.counted, count)).collect();
        let mut page = Page::default();
        // Added first, so that the deletion never fails: the whole is an atomic replacement.
        page.put(&format!("table inet {table}\ndelete table inet {table}"), None);
        page.put(&format!("\ntable inet {table} {{"), None);
        let mut rules: HashMap<&str, Vec<&Object>> = HashMap::new();
        for object in &self.objects {
            if let NfListObject::Rule(rule) = &object.object {
                rules.entry(&rule.chain).or_default().push(object);
            }
        }
        // What rules refer to stands before them, the counters in one column.
        let mut before = None;
        for kind in [Kind::Set, Kind::Counter, Kind::Chain] {
            for object in self.objects.iter().filter(|object| Kind::of(&object.object) == Some(kind)) {
                if before.is_some_and(|before| before != Kind::Counter || kind != Kind::Counter) {
                    page.put("", None);
                }
                before = Some(kind);
                page.put(&self.block(&object.object, &start), object.rule.as_ref());
                if let NfListObject::Chain(chain) = &object.object {
                    for object in rules.remove(chain.name.as_ref()).unwrap_or_default() {
                        if let NfListObject::Rule(rule) = &object.object {
                            page.put(&format!("\t\t{}", statement::rule(rule)), object.rule.as_ref());
                        }
                    }
                    page.put("\t}", None);
                }
            }
        }
        page.put("}", None);
        Printed { text: page.text, lines: page.lines }
    }

    /// An object of its own in the table; a chain is left open for its rules.
    fn block(&self, object: &NfListObject<'static>, start: &HashMap<&Counted, &Count>) -> String {
        match object {
            NfListObject::Set(set) => object::set(set),
            NfListObject::Map(map) => object::map(map),
            NfListObject::FlowTable(table) => object::flowtable(table),
            NfListObject::Chain(chain) => object::chain(chain),
            NfListObject::Counter(counter) => {
                let counted = self.counters.get(counter.name.as_ref());
                let mut block = format!("\tcounter {} {{", counter.name);
                if let Some(counted) = counted {
                    let _ = write!(block, " {};", comment(counted.comment()));
                }
                if let Some(count) = counted.and_then(|counted| start.get(counted)) {
                    let _ = write!(block, " packets {} bytes {}", count.packets, count.bytes);
                }
                block + " }"
            }
            _ => String::new(),
        }
    }
}

/// Which objects are printed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Counter,
    Chain,
}

impl Kind {
    /// `None`: not an object of its own.
    fn of(object: &NfListObject<'static>) -> Option<Self> {
        match object {
            NfListObject::Set(_) | NfListObject::Map(_) | NfListObject::FlowTable(_) => Some(Self::Set),
            NfListObject::Counter(_) => Some(Self::Counter),
            NfListObject::Chain(_) => Some(Self::Chain),
            _ => None,
        }
    }
}
