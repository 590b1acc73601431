//! Rules of other routers and firewalls in the packets' way.

use std::collections::BTreeMap;
use std::fs;

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::nftables::NftError;
use crate::nftables::survey::BaseChain;

/// Our own tables begin with this (`nftables::guard::table_name`).
const OURS: &str = "gateway_";

/// Somebody who is known by the names of his tables or chains.
struct Owner {
    marks: &'static [&'static str],
    name: &'static str,
    /// `None`: it belongs to the machine, and the gateway should not be on it.
    stop: Option<&'static str>,
}

const OWNERS: [Owner; 8] = [
    Owner { marks: &["DOCKER", "docker"], name: "Docker", stop: Some("systemctl disable --now docker.socket docker") },
    Owner { marks: &["firewalld"], name: "firewalld", stop: Some("systemctl disable --now firewalld") },
    Owner { marks: &["ufw-"], name: "ufw", stop: Some("ufw disable") },
    Owner { marks: &["KUBE-", "kube-proxy"], name: "kube-proxy", stop: None },
    Owner { marks: &["OVN-KUBE", "ovn-kube"], name: "OVN-Kubernetes", stop: None },
    Owner { marks: &["cali-", "CILIUM", "CNI-", "FLANNEL"], name: "a CNI plugin", stop: None },
    Owner {
        marks: &["LIBVIRT", "libvirt"],
        name: "libvirt",
        stop: Some("virsh net-autostart --disable default && virsh net-destroy default"),
    },
    Owner { marks: &["ts-"], name: "Tailscale", stop: Some("tailscale set --netfilter-mode=off") },
];

/// True when the gateway itself is at work here, or has been stopped in a way that kept its guard.
pub fn is_running(chains: &[BaseChain]) -> bool {
    chains.iter().any(|chain| chain.table.starts_with(OURS))
}

/// Judges the base chains, and looks for tables of the old iptables in the calling thread's network namespace.
#[must_use]
pub fn leftovers(chains: &Result<Vec<BaseChain>, NftError>) -> Outcome {
    let mut outcome = Outcome::of(Check::Leftovers);
    match chains {
        Ok(chains) => outcome.findings.extend(foreign(chains)),
        Err(error) => outcome.skip(error.to_string()),
    }
    outcome.findings.extend(legacy(loaded));
    if outcome.findings.is_empty() && outcome.skipped.is_empty() {
        outcome.good("nobody else's rules are in the way");
    }
    outcome
}

/// True when the chain can drop or rewrite what is forwarded.
fn interferes(chain: &BaseChain) -> bool {
    let drops = chain.policy == "drop" && chain.hook == "forward";
    let acts = chain.rules > 0 && ["forward", "prerouting", "postrouting", "ingress", "egress"].contains(&chain.hook.as_str());
    drops || acts
}

fn foreign(chains: &[BaseChain]) -> Vec<Finding> {
    let mut tables: BTreeMap<(&str, &str), Vec<&BaseChain>> = BTreeMap::new();
    for chain in chains.iter().filter(|chain| !chain.table.starts_with(OURS) && interferes(chain)) {
        tables.entry((&chain.family, &chain.table)).or_default().push(chain);
    }
    tables.into_iter().map(|((family, table), chains)| finding(family, table, &chains)).collect()
}

fn finding(family: &str, table: &str, chains: &[&BaseChain]) -> Finding {
    let names = || chains.iter().flat_map(|chain| chain.jumps.iter().chain([&chain.chain])).map(String::as_str).chain([table]);
    let owner = OWNERS.iter().find(|owner| owner.marks.iter().any(|mark| names().any(|name| name.starts_with(mark))));
    let evidence = chains.iter().map(|chain| {
        let rules = if chain.rules == 1 { "1 rule".to_owned() } else { format!("{} rules", chain.rules) };
        format!("chain {} ({} hook {}) has {rules} and policy {}", chain.chain, chain.kind, chain.hook, chain.policy)
    });
    let mut remedies = Vec::new();
    match owner {
        Some(Owner { stop: Some(stop), .. }) => remedies.push(Remedy::Command { lines: vec![(*stop).to_owned()] }),
        Some(owner) => remedies.push(Remedy::Advice {
            text: format!(
                "This is a Kubernetes node, and the rules are {}'s: leave them, and run the gateway in a VM of its own.",
                owner.name
            ),
        }),
        None => {}
    }
    if owner.is_none_or(|owner| owner.stop.is_some()) {
        remedies.push(Remedy::Command {
            lines: vec!["nft list ruleset > /root/before-gateway.nft".to_owned(), format!("nft delete table {family} {table}")],
        });
    }
    let translates = chains.iter().any(|chain| chain.kind == "nat");
    Finding {
        id: Id::ForeignRules,
        severity: Severity::Warning,
        interface: None,
        title: match owner {
            Some(owner) => format!("table {family} {table} of {} is in the packets' way", owner.name),
            None => format!("table {family} {table} is in the packets' way, and is not the gateway's"),
        },
        evidence: evidence.collect(),
        consequence: format!(
            "What the kernel itself forwards (packets that need its help, and all of them with datapath = \"nftables\") is {} by these rules \
             too; what the gateway's programs forward is not. So some packets of a connection are treated otherwise than the rest.",
            if translates { "translated" } else { "filtered" }
        ),
        remedies,
    }
}

/// iptables before nftables, of one family.
struct Legacy {
    command: &'static str,
    modules: &'static str,
    file: &'static str,
}

const LEGACY: [Legacy; 2] = [
    Legacy { command: "iptables-legacy", modules: "iptable", file: "ip_tables_names" },
    Legacy { command: "ip6tables-legacy", modules: "ip6table", file: "ip6_tables_names" },
];

/// Its tables do not show in nft. `tables`: those of each family that are loaded, filled or empty; the kernel does not say which.
fn legacy(tables: impl Fn(&Legacy) -> Vec<String>) -> Option<Finding> {
    let (mut evidence, mut remedies) = (Vec::new(), Vec::new());
    for family in &LEGACY {
        let names = tables(family);
        if !names.is_empty() {
            evidence.push(format!("{} has tables loaded: {}", family.command, names.join(", ")));
            remedies.push(Remedy::Command { lines: clear(family, &names) });
        }
    }
    if evidence.is_empty() {
        return None;
    }
    Some(Finding {
        id: Id::ForeignRules,
        severity: Severity::Warning,
        interface: None,
        title: "iptables of the old kind is in use".to_owned(),
        evidence,
        consequence: "Its rules are invisible to nft; those of its FORWARD, PREROUTING and POSTROUTING chains act on what the kernel itself forwards."
            .to_owned(),
        remedies,
    })
}

/// Policies before rules, lest the last rule that lets somebody log in goes first; then the tables themselves, as they are listed also
/// when empty.
fn clear(family: &Legacy, names: &[String]) -> Vec<String> {
    let Legacy { command, modules, .. } = family;
    let save = format!("{command}-save > /root/before-gateway.{command}    # what protects this machine itself has to move to nftables");
    let policies = names.iter().filter(|name| *name == "filter").flat_map(|_| ["INPUT", "FORWARD", "OUTPUT"]);
    let policies = policies.map(|chain| format!("{command} -P {chain} ACCEPT"));
    let rules = names.iter().map(|name| format!("{command} -t {name} -F && {command} -t {name} -X"));
    let unload = names.iter().map(|name| format!("{modules}_{name}")).collect::<Vec<_>>().join(" ");
    [save].into_iter().chain(policies).chain(rules).chain([format!("rmmod {unload}")]).collect()
}

fn loaded(family: &Legacy) -> Vec<String> {
    let names = fs::read_to_string(format!("/proc/thread-self/net/{}", family.file)).unwrap_or_default();
    names.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(table: &str, hook: &str, policy: &str, rules: usize, jumps: &[&str]) -> BaseChain {
        BaseChain {
            family: "ip".to_owned(),
            table: table.to_owned(),
            chain: hook.to_uppercase(),
            kind: "filter".to_owned(),
            hook: hook.to_owned(),
            policy: policy.to_owned(),
            rules,
            jumps: jumps.iter().map(|jump| (*jump).to_owned()).collect(),
        }
    }

    #[test]
    fn only_what_can_touch_forwarded_packets_of_others_is_reported() {
        let harmless = [
            chain("gateway_default", "forward", "accept", 7, &[]),
            chain("filter", "input", "drop", 9, &[]),
            chain("filter", "output", "accept", 1, &[]),
            chain("empty", "forward", "accept", 0, &[]),
        ];
        assert_eq!(foreign(&harmless), []);
        for harmful in [chain("filter", "forward", "drop", 0, &[]), chain("mangle", "prerouting", "accept", 1, &[])] {
            assert_eq!(foreign(std::slice::from_ref(&harmful)).len(), 1, "{harmful:?}");
        }
    }

    #[test]
    fn owners_are_known_by_their_chains() {
        let docker = foreign(&[chain("filter", "forward", "drop", 2, &["DOCKER-USER", "DOCKER-FORWARD"])]);
        assert!(docker[0].title.contains("Docker"), "{}", docker[0].title);
        assert!(matches!(&docker[0].remedies[0], Remedy::Command { lines } if lines[0].contains("systemctl disable --now docker")));
        let node = foreign(&[chain("nat", "prerouting", "accept", 1, &["KUBE-SERVICES"])]);
        assert!(node[0].remedies.iter().all(|remedy| matches!(remedy, Remedy::Advice { .. })), "nobody is told to break a node");
    }

    #[test]
    fn tables_of_old_iptables_are_cleared_by_the_command_of_their_family() {
        assert_eq!(legacy(|_| Vec::new()), None);
        let lines = |ip: &[&str], ip6: &[&str]| {
            let names = |family: &Legacy| if family.modules == "iptable" { ip.to_vec() } else { ip6.to_vec() };
            let found = legacy(|family| names(family).into_iter().map(str::to_owned).collect()).unwrap();
            let of = |remedy: Remedy| if let Remedy::Command { lines } = remedy { lines } else { Vec::new() };
            found.remedies.into_iter().map(of).collect::<Vec<_>>()
        };
        let six = lines(&[], &["mangle"]);
        assert_eq!(six[0][1..], ["ip6tables-legacy -t mangle -F && ip6tables-legacy -t mangle -X", "rmmod ip6table_mangle"]);
        assert_eq!((six.len(), six[0][0].starts_with("ip6tables-legacy-save > /root/")), (1, true));
        let four = lines(&["filter", "nat"], &["filter"]);
        assert_eq!(four.len(), 2);
        let expected = [
            "iptables-legacy -P INPUT ACCEPT",
            "iptables-legacy -P FORWARD ACCEPT",
            "iptables-legacy -P OUTPUT ACCEPT",
            "iptables-legacy -t filter -F && iptables-legacy -t filter -X",
            "iptables-legacy -t nat -F && iptables-legacy -t nat -X",
            "rmmod iptable_filter iptable_nat",
        ];
        assert_eq!(four[0][1..], expected);
    }
}
