//! A policy as a value, and as the text that an operator would write.

use std::fmt::Write as _;

use crate::network::LEGS;

/// A zone's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Of leg 0, and of others perhaps.
    Lan,
    /// Of leg 1, and of others perhaps.
    Wan,
    /// Of leg 2 alone.
    Dmz,
    /// Of leg 3 alone.
    Opt,
}

/// What a rule does, and what happens where none matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it through.
    Accept,
    /// Discards it.
    Drop,
    /// Discards it and says so.
    Reject,
}

/// A protocol of the policy's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
}

/// `source-validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// The default.
    Strict,
    /// Reachable by any interface.
    Loose,
    /// None.
    Off,
}

/// First and last port.
pub type Ports = (u16, u16);

/// What rules match on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// `from`
    pub from: Option<Zone>,
    /// `to`
    pub to: Option<Zone>,
    /// `source`; empty for any.
    pub source: Vec<&'static str>,
    /// `destination`; empty for any.
    pub destination: Vec<&'static str>,
    /// `protocol`
    pub protocol: Option<Protocol>,
    /// `ports`; empty for any.
    pub ports: Vec<Ports>,
}

/// A rule of any list with the number that makes its name unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// Unique in its list.
    pub number: u8,
    /// The rule.
    pub rule: T,
}

/// `[[firewall.rules]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it matches.
    pub matching: Matching,
    /// `icmp-type`
    pub icmp_type: Option<u8>,
    /// `action`
    pub action: Action,
    /// `rate`, in flows per hour: a run is over long before another one is due.
    pub rate: Option<u8>,
}

/// `translate`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translate {
    /// `"none"`
    None,
    /// `"masquerade"`
    Masquerade,
    /// `{ addresses, ports }`
    Pool {
        /// Ranges or addresses.
        addresses: &'static [&'static str],
        /// Other ports than the default.
        ports: Option<Ports>,
    },
}

/// `[[nat.source]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNat {
    /// What it matches.
    pub matching: Matching,
    /// `translate`
    pub translate: Translate,
    /// `mapping = "address-and-port-dependent"`
    pub mapping_per_flow: bool,
    /// `filtering = "endpoint-independent"`
    pub open_filtering: bool,
}

/// `[[nat.destination]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// `from`
    pub from: Zone,
    /// `source`; empty for any.
    pub source: Vec<&'static str>,
    /// `protocol`, which has ports.
    pub protocol: Protocol,
    /// `address`
    pub address: Option<&'static str>,
    /// `port` or `ports`
    pub ports: Ports,
    /// The server.
    pub to: &'static str,
    /// Its first port, if not the same.
    pub to_port: Option<u16>,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The zone of each leg.
    pub zones: [Option<Zone>; LEGS.len()],
    /// Of each leg.
    pub validation: [Validation; LEGS.len()],
    /// Members of the sets `s0`, `s1` …
    pub sets: Vec<Vec<&'static str>>,
    /// In order.
    pub source_nat: Vec<Named<SourceNat>>,
    /// In order.
    pub forwards: Vec<Named<Forward>>,
    /// Where no rule matches.
    pub default: Action,
    /// In order.
    pub rules: Vec<Named<Rule>>,
}

impl Policy {
    /// Two zones, masquerading from lan to wan, everything allowed: where cases begin.
    pub fn open() -> Self {
        Self {
            zones: [Some(Zone::Lan), Some(Zone::Wan), Some(Zone::Dmz), None],
            validation: [Validation::Strict; LEGS.len()],
            sets: Vec::new(),
            source_nat: Vec::new(),
            forwards: Vec::new(),
            default: Action::Accept,
            rules: Vec::new(),
        }
    }

    /// As text, for a mode; rule names begin with `prefix`, so that they are new to a daemon that has seen other policies.
    pub fn text(&self, mode: &str, prefix: &str) -> String {
        let mut text = format!("version = 1\n\n[datapath]\nmode = \"{mode}\"\n");
        for (leg, validation) in LEGS.iter().zip(self.validation) {
            if validation != Validation::Strict {
                let _ = write!(text, "\n[interfaces.{}]\nsource-validation = \"{}\"\n", leg.name, word(validation));
            }
        }
        text.push_str("\n[zones]\n");
        for zone in [Zone::Lan, Zone::Wan, Zone::Dmz, Zone::Opt] {
            let legs: Vec<&str> = LEGS.iter().zip(self.zones).filter(|(_, of)| *of == Some(zone)).map(|(leg, _)| leg.name).collect();
            if !legs.is_empty() {
                let _ = writeln!(text, "{} = {legs:?}", word(zone));
            }
        }
        if !self.sets.is_empty() {
            text.push_str("\n[sets]\n");
            for (number, members) in self.sets.iter().enumerate() {
                let _ = writeln!(text, "s{number} = {members:?}");
            }
        }
        for Named { number, rule } in &self.source_nat {
            let _ = writeln!(text, "\n[[nat.source]]\nname = \"{prefix}-source-{number}\"\n{}", rule.lines());
        }
        for Named { number, rule } in &self.forwards {
            let _ = writeln!(text, "\n[[nat.destination]]\nname = \"{prefix}-forward-{number}\"\n{}", rule.lines());
        }
        let _ = writeln!(text, "\n[firewall]\ndefault = \"{}\"", word(self.default));
        for Named { number, rule } in &self.rules {
            let _ = writeln!(text, "\n[[firewall.rules]]\nname = \"{prefix}-{number}\"\n{}", rule.lines());
        }
        text
    }
}

/// The words of the policy's language are our variants' names in small letters.
fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn range((first, last): Ports) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

impl Matching {
    fn lines(&self) -> String {
        let mut text = String::new();
        for (key, zone) in [("from", self.from), ("to", self.to)] {
            if let Some(zone) = zone {
                let _ = writeln!(text, "{key} = \"{}\"", word(zone));
            }
        }
        for (key, addresses) in [("source", &self.source), ("destination", &self.destination)] {
            if !addresses.is_empty() {
                let _ = writeln!(text, "{key} = {addresses:?}");
            }
        }
        if let Some(protocol) = self.protocol {
            let _ = writeln!(text, "protocol = \"{}\"", word(protocol));
        }
        if !self.ports.is_empty() {
            let _ = writeln!(text, "ports = {:?}", self.ports.iter().copied().map(range).collect::<Vec<_>>());
        }
        text
    }
}

impl Rule {
    fn lines(&self) -> String {
        let mut text = self.matching.lines();
        if let Some(icmp_type) = self.icmp_type {
            let _ = writeln!(text, "icmp-type = {icmp_type}");
        }
        let _ = write!(text, "action = \"{}\"", word(self.action));
        if let Some(rate) = self.rate {
            let _ = write!(text, "\nrate = \"{rate}/hour\"");
        }
        text
    }
}

impl SourceNat {
    fn lines(&self) -> String {
        let mut text = self.matching.lines();
        match &self.translate {
            Translate::None => text.push_str("translate = \"none\""),
            Translate::Masquerade => text.push_str("translate = \"masquerade\""),
            Translate::Pool { addresses, ports } => {
                let ports = ports.map_or_else(String::new, |ports| format!(", ports = \"{}\"", range(ports)));
                let _ = write!(text, "translate = {{ addresses = {addresses:?}{ports} }}");
            }
        }
        if self.mapping_per_flow {
            text.push_str("\nmapping = \"address-and-port-dependent\"");
        }
        if self.open_filtering {
            text.push_str("\nfiltering = \"endpoint-independent\"");
        }
        text
    }
}

impl Forward {
    fn lines(&self) -> String {
        let mut text = format!("from = \"{}\"\nprotocol = \"{}\"\n", word(self.from), word(self.protocol));
        if !self.source.is_empty() {
            let _ = writeln!(text, "source = {:?}", self.source);
        }
        if let Some(address) = self.address {
            let _ = writeln!(text, "address = \"{address}\"");
        }
        if self.ports.0 == self.ports.1 {
            let _ = writeln!(text, "port = {}", self.ports.0);
        } else {
            let _ = writeln!(text, "ports = \"{}\"", range(self.ports));
        }
        let port = self.to_port.map_or_else(String::new, |port| format!(":{port}"));
        let _ = write!(text, "to = \"{}{port}\"", self.to);
        text
    }
}
