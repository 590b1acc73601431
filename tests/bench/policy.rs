//! The same task in three languages: our policy, nftables' rules, einat's options.

use crate::path::{SERVICE_PORTS, SHIFT};
use crate::workload::{Family, Nat, Setting};

/// Which of our programs carry the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// tc alone.
    Tc,
    /// XDP in front of tc.
    Xdp,
}

impl Mode {
    /// The word of the policy.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
        }
    }

    /// What `gateway status` says of an interface in this mode.
    #[must_use]
    pub fn datapath(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp+tc",
        }
    }
}

/// The most flows that a policy may ask for.
const MOST: u32 = 4_194_304;

/// Our policy. `rules`: how many firewall rules there are, all of which but the last match nothing of the bench; each names a network and
/// a port of its own. `udp_timeout` in the policy's words.
#[must_use]
pub fn gateway(setting: &Setting, mode: Mode, rules: usize, udp_timeout: Option<&str>) -> String {
    let Setting { capacity, nat, family } = setting;
    // IPv6 has a quarter of the flows that the policy names.
    let capacity = if *family == Family::V6 { capacity.saturating_mul(4).min(MOST) } else { *capacity };
    let (inside, outside) = zones(*nat);
    // Behind a port forward all flows are one host's, the server's: no quota.
    let mut text = format!(
        "version = 1\n[datapath]\nmode = \"{}\"\nflows = {capacity}\nflows-per-host = {capacity}\n\
         [zones]\ninside = [\"{inside}\"]\noutside = [\"{outside}\"]\n",
        mode.word()
    );
    if let Some(timeout) = udp_timeout {
        text += &format!("[timeouts]\nudp = \"{timeout}\"\n");
    }
    match nat {
        Nat::Source | Nat::Pool => {
            let pool = "{ addresses = [\"10.88.1.0-10.88.1.15\"], ports = \"1024-65535\" }";
            let translate = if *nat == Nat::Pool { pool } else { "\"masquerade\"" };
            text += &format!(
                "[[nat.source]]\nname = \"everybody\"\nfrom = \"inside\"\nto = \"outside\"\nsource = [\"10.77.0.0/24\"]\ntranslate = {translate}\n"
            );
        }
        Nat::Forward => {
            for port in SERVICE_PORTS {
                text += &format!(
                    "[[nat.destination]]\nname = \"service {port}\"\nfrom = \"outside\"\nprotocol = \"udp\"\nport = {port}\nto = \"10.88.0.2:{}\"\n",
                    port + SHIFT
                );
            }
        }
        Nat::None => {}
    }
    text += "[firewall]\ndefault = \"drop\"\n";
    let (from, to) = if *nat == Nat::Forward { ("outside", "inside") } else { ("inside", "outside") };
    for number in 1..rules {
        text += &format!(
            "[[firewall.rules]]\nname = \"rule {number}\"\nfrom = \"{from}\"\nto = \"{to}\"\nprotocol = \"tcp\"\nports = [\"{}\"]\naction = \"accept\"\n",
            20_000 + number
        );
    }
    text + &format!("[[firewall.rules]]\nname = \"the bench\"\nfrom = \"{from}\"\nto = \"{to}\"\naction = \"accept\"\n")
}

/// The gateway's interfaces by zone: a port forward goes the other way.
fn zones(nat: Nat) -> (&'static str, &'static str) {
    if nat == Nat::Forward { ("out0", "in0") } else { ("in0", "out0") }
}

/// nftables' rules for the same, one linear chain as people write it. `rules` as for [`gateway`].
#[must_use]
pub fn nftables(setting: &Setting, flowtable: bool, rules: usize) -> String {
    let family = if setting.family == Family::V4 { "ip" } else { "ip6" };
    let (declared, used) = if flowtable {
        ("flowtable f { hook ingress priority 0; devices = { in0, out0 }; }\n", "ct state established flow add @f\n")
    } else {
        ("", "")
    };
    let mut text = format!("table {family} bench {{\n{declared}");
    text += "chain forward {\ntype filter hook forward priority 0; policy drop;\n";
    text += used;
    text += "ct state established,related accept\n";
    for number in 1..rules {
        text += &format!("iifname in0 oifname out0 tcp dport {} accept\n", 20_000 + number);
    }
    text += "iifname in0 oifname out0 accept\n}\n";
    match setting.nat {
        Nat::Source | Nat::Pool => {
            let translate = if setting.nat == Nat::Pool { "snat to 10.88.1.0-10.88.1.15 persistent" } else { "masquerade" };
            text += &format!("chain postrouting {{\ntype nat hook postrouting priority 100;\noifname out0 {translate}\n}}\n");
        }
        Nat::Forward => {
            let map: Vec<String> = SERVICE_PORTS.map(|port| format!("{port} : 10.88.0.2 . {}", port + SHIFT)).collect();
            text += &format!(
                "chain prerouting {{\ntype nat hook prerouting priority -100;\niifname in0 dnat ip to udp dport map {{ {} }}\n}}\n",
                map.join(", ")
            );
        }
        Nat::None => {}
    }
    text + "}\n"
}
