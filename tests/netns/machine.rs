//! What a machine looks like, to be held against what it looked like before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gateway_tests::Namespace;
use gateway_tests::wait::wait_until;

/// Everything that a gateway changes on a machine, or might.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine(BTreeMap<String, String>);

/// One listing each.
const LISTINGS: [(&str, &[&str]); 10] = [
    ("nft", &["list", "ruleset"]),
    ("ip", &["-o", "address"]),
    ("ip", &["-4", "route", "show", "table", "all"]),
    ("ip", &["-6", "route", "show", "table", "all"]),
    ("ip", &["rule"]),
    ("ip", &["-6", "rule"]),
    ("ip", &["-o", "link"]),
    ("ip", &["neigh", "show", "nud", "permanent"]),
    ("tc", &["qdisc", "show"]),
    ("bpftool", &["net", "show"]),
];

/// Directories of kernel settings, and single ones.
const SETTINGS: [&str; 4] = ["ipv4/conf", "ipv6/conf", "ipv4/ip_forward", "ipv4/ip_local_port_range"];

impl Machine {
    /// Looks at the namespace once nothing there is tentative any more.
    pub fn of(namespace: &Namespace) -> Self {
        wait_until(Duration::from_secs(20), "duplicate address detection", || {
            Ok(namespace.run("ip", &["-6", "address", "show", "tentative"])?.trim().is_empty())
        })
        .unwrap();
        let mut found = BTreeMap::new();
        for (program, words) in LISTINGS {
            found.insert(format!("{program} {}", words.join(" ")), namespace.run(program, words).unwrap());
        }
        // Managed neighbours are shown whatever their state is.
        let neighbours = namespace.run("ip", &["neigh"]).unwrap();
        let managed: Vec<&str> = neighbours.lines().filter(|line| line.contains("managed") || line.contains("extern_learn")).collect();
        found.insert("managed neighbours".to_owned(), managed.join("\n"));
        for setting in SETTINGS {
            namespace.within(|| read(&Path::new("/proc/sys/net").join(setting), &mut found)).unwrap();
        }
        Self(found)
    }

    /// Panics with what is different, if anything is.
    #[track_caller]
    pub fn assert_is(&self, before: &Self) {
        let keys = self.0.keys().chain(before.0.keys());
        let different: BTreeMap<_, _> =
            keys.filter(|key| self.0.get(*key) != before.0.get(*key)).map(|key| (key, (before.0.get(key), self.0.get(key)))).collect();
        assert!(different.is_empty(), "before and after: {different:#?}");
    }
}

fn read(path: &Path, found: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read(&entry.unwrap().path(), found);
        }
        // Some can only be written.
    } else if let Ok(value) = std::fs::read_to_string(path) {
        found.insert(path.display().to_string(), value);
    }
}
