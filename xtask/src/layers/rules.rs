//! Who may import whom: the one table. A module may always import itself; `*` means everything.
//!
//! Core: `abi, wire <- packet, table <- search <- {flow, nat, zone, route} <- pipeline <- hooks`.
//! Daemon: `policy -> model <- plan <- datapath`, and only `daemon` and `cli` see all.

use std::path::Path;

/// A file over this many lines is warned about.
pub const LINES: usize = 400;

/// One package's rules.
pub struct Package {
    /// What its own binary calls its library: a path into it is a path into the crate.
    pub library: &'static str,
    /// Its source directory below the workspace's root.
    pub directory: &'static str,
    /// One line per module directly below the crate's root.
    pub layers: &'static [Layer],
    /// The files and directories in which `unsafe` may stand.
    pub unsafe_in: &'static [&'static str],
}

/// What modules of one layer may import.
pub struct Layer {
    modules: &'static [&'static str],
    /// Modules of the same crate, or `gateway_ebpf::<module>`.
    pub imports: &'static [&'static str],
}

const fn layer(modules: &'static [&'static str], imports: &'static [&'static str]) -> Layer {
    Layer { modules, imports }
}

/// The packages that have rules.
pub const PACKAGES: &[&Package] = &[&CORE, &DAEMON];

/// The packet core and the BPF object.
pub const CORE: Package = Package {
    library: "gateway_ebpf",
    directory: "gateway-ebpf/src",
    layers: &[
        layer(&["abi"], &[]),
        // What the kernel's verifier needs to be told.
        layer(&["verifier"], &[]),
        // The seams and the vocabulary: bytes, headers, what is decided, questions about the world.
        layer(&["frame"], &["abi"]),
        layer(&["wire"], &["abi", "frame"]),
        layer(&["packet"], &["abi", "wire", "frame", "verifier"]),
        layer(&["decision"], &["abi", "wire"]),
        // Flows and mappings, in memory that the daemon shares.
        layer(&["table"], &["abi", "verifier"]),
        layer(&["env"], &["abi", "search", "table"]),
        // First match in a list of rules: NAT and zone policy both ask it, so it is neither's.
        layer(&["search"], &["abi", "env"]),
        layer(&["search"], &["abi", "wire", "packet", "decision", "env"]),
        // Which refusals are answered.
        layer(&["answer"], &["abi", "wire", "packet"]),
        layer(&["rewrite"], &["abi", "wire", "packet", "frame", "decision"]),
        // The stages never import each other.
        layer(&["flow", "nat", "zone", "route"], STAGES_SEE),
        layer(&["fast_path"], PIPELINE_SEES),
        layer(&["pipeline"], PIPELINE_SEES),
        layer(&["maps"], MAPS_SEE),
        // The bench's own traffic and programs: of the gateway it knows the headers, and the table that it holds against the kernel's.
        layer(&["bench"], &["abi", "wire", "table", "gateway_ebpf::bench"]),
        layer(&["hooks", "main", "lib"], &["*"]),
    ],
    unsafe_in: &["hooks", "maps.rs", "main.rs", "bench/main.rs", "bench/programs.rs", "bench/programs"],
};

const STAGES_SEE: &[&str] = &["abi", "wire", "packet", "frame", "decision", "env", "search"];

#[rustfmt::skip]
const PIPELINE_SEES: &[&str] = &[
    "abi", "wire", "packet", "frame", "decision", "env", "search", "rewrite",
    "flow", "nat", "zone", "route", "fast_path", "verifier",
];

#[rustfmt::skip]
const MAPS_SEE: &[&str] = &[
    "abi", "wire", "packet", "frame", "decision", "env", "search", "table",
    "flow", "nat", "zone", "route", "pipeline",
];

/// The daemon and the command line.
pub const DAEMON: Package = Package {
    library: "gateway_daemon",
    directory: "gateway-daemon/src",
    layers: &[
        layer(&["model"], &["inventory"]),
        layer(&["inventory"], &["model"]),
        // The limits of the tables are the policy's limits, and written once.
        layer(&["policy"], &["model", "gateway_ebpf::abi"]),
        layer(&["plan"], &["model", "inventory", "gateway_ebpf::abi"]),
        layer(&["datapath"], &["plan", "inventory", "model", "gateway_ebpf::*"]),
        layer(&["netlink", "sysctl"], &["model", "inventory"]),
        // Numbers of rules and zones stand in connection marks; reasons of drops are the core's.
        layer(&["nftables"], &["model", "inventory", "plan", "gateway_ebpf::abi"]),
        // Puts a policy in place that the daemon will find; the two know each other by that file only.
        layer(&["provision"], &["policy"]),
        layer(&["instance"], &[]),
        // The contract with the live commands: shows the core's own labels, knows nothing of the daemon's state.
        layer(&["control"], &["instance", "gateway_ebpf::abi"]),
        layer(&["answers"], &["gateway_ebpf::abi"]),
        // Where the gateway's addresses are, told to its neighbours.
        layer(&["announce"], &["inventory", "model"]),
        // What stands in the gateway's way on this machine: it looks, tries and judges, and changes nothing.
        layer(&["doctor"], &["announce", "model", "inventory", "policy", "netlink", "nftables", "datapath", "gateway_ebpf::table"]),
        layer(&["metrics"], &["model", "inventory", "datapath", "gateway_ebpf::abi"]),
        layer(&["daemon", "cli", "main", "lib"], &["*"]),
    ],
    unsafe_in: &["datapath/raw.rs", "datapath/shared.rs", "doctor/check/adjtimex.rs"],
};

impl Package {
    /// The rule of a module directly below the crate's root.
    pub fn layer(&self, module: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.modules.contains(&module))
    }

    /// May the file at this path below the source directory contain `unsafe`?
    pub fn may_be_unsafe(&self, relative: &Path) -> bool {
        self.unsafe_in.iter().any(|allowed| relative.starts_with(allowed))
    }
}

impl Layer {
    /// May a file of `module`, which this layer is the rule of, import the module `target`?
    pub fn may_import(&self, module: &str, target: &str) -> bool {
        let by_crate = target.split_once("::").map(|(krate, _)| format!("{krate}::*"));
        module == target
            || self.imports.iter().any(|allowed| *allowed == "*" || *allowed == target || by_crate.as_deref() == Some(*allowed))
    }
}
