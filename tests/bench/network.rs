//! One way for packets, in namespaces of its own.
//!
//! ```text
//!  hosts                    gateway                        remote
//!  gen0 ══════════ in0 (10.77.0.1)  out0 (10.88.0.1) ══════ snk0 10.88.0.2
//!  10.77.0.10-209  (fd00:0:0:77::1) (fd00:0:0:88::1)
//! ```
//!
//! Neighbours are permanent, so that nothing but the bench's own packets is on the way.

use anyhow::{Context, Result};
use gateway_ebpf::bench::{FIRST_HOST, FLOWS, HOSTS};
use gateway_tests::Namespace;
use gateway_tests::namespace::unique_prefix;

/// The gateway's address on the remote's side, which masquerading translates to.
pub const EXTERNAL: [u8; 4] = [10, 88, 0, 1];
/// The gateway's address on the hosts' side, whose ports are forwarded.
pub const INTERNAL: [u8; 4] = [10, 77, 0, 1];
/// The remote.
pub const REMOTE: [u8; 4] = [10, 88, 0, 2];
/// The remote's IPv6 address.
pub const REMOTE_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 2];
/// The hosts' network.
pub const NETWORK: [u8; 4] = [10, 77, 0, 0];
/// The hosts' IPv6 network.
pub const NETWORK_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0];
/// A host that real programs run on.
pub const HOST: [u8; 4] = [10, 77, 0, 10];

/// The hosts' end.
pub const GENERATOR_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// The gateway's end on the hosts' side.
pub const IN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
/// The gateway's end on the remote's side.
pub const OUT_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
/// The remote's end.
pub const SINK_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// Three rooms and two wires. Dropped, the namespaces go, with the programs in them.
pub struct Network {
    /// Where packets come from.
    pub hosts: Namespace,
    /// Where the gateway under test runs.
    pub gateway: Namespace,
    /// Where packets go to.
    pub remote: Namespace,
    /// The index of `gen0`.
    pub generator: u32,
    /// The index of `in0`.
    pub inside: u32,
    /// The index of `out0`.
    pub outside: u32,
    /// The index of `snk0`.
    pub sink: u32,
}

impl Network {
    /// Makes it. Nothing forwards in it yet.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn new(purpose: &str) -> Result<Self> {
        let prefix = unique_prefix(purpose);
        let hosts = Namespace::create(&format!("{prefix}-h"))?;
        let gateway = Namespace::create(&format!("{prefix}-g"))?;
        let remote = Namespace::create(&format!("{prefix}-r"))?;
        silence(&hosts, &gateway, &remote)?;
        let generator = link(&hosts, ("gen0", GENERATOR_MAC), &gateway, ("in0", IN_MAC))?;
        let outside = link(&gateway, ("out0", OUT_MAC), &remote, ("snk0", SINK_MAC))?;
        let (inside, sink) = (index(&gateway, "in0")?, index(&remote, "snk0")?);
        let mut lines = String::from(
            "address add 10.77.0.1/24 dev in0\naddress add fd00:0:0:77::1/64 dev in0 nodad\n\
             address add 10.88.0.1/24 dev out0\naddress add fd00:0:0:88::1/64 dev out0 nodad\n",
        );
        let to_hosts = text(GENERATOR_MAC);
        for host in 0..FLOWS / gateway_ebpf::bench::BLOCK * HOSTS {
            let last = u32::from(FIRST_HOST) + host;
            lines += &format!("neighbour add 10.77.0.{last} lladdr {to_hosts} dev in0 nud permanent\n");
            lines += &format!("neighbour add fd00:0:0:77::{last:x} lladdr {to_hosts} dev in0 nud permanent\n");
        }
        let to_remote = text(SINK_MAC);
        lines += &format!("neighbour add 10.88.0.2 lladdr {to_remote} dev out0 nud permanent\n");
        lines += &format!("neighbour add fd00:0:0:88::2 lladdr {to_remote} dev out0 nud permanent\n");
        gateway.ip(&lines)?;
        // A frame that XDP redirects into a veth is taken only while the peer polls (NAPI), which it does with GRO.
        for interface in ["in0", "out0"] {
            gateway.run("ethtool", &["-K", interface, "gro", "on"])?;
        }
        Ok(Self { hosts, gateway, remote, generator, inside, outside, sink })
    }

    /// Gives both ends addresses and routes, so that real programs can talk. `bridged`: what forwards rewrites no MAC, so each end has to
    /// send to the other's.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn settle(&self, bridged: bool) -> Result<()> {
        let (to_gateway, to_host) = if bridged { (SINK_MAC, GENERATOR_MAC) } else { (IN_MAC, OUT_MAC) };
        self.hosts.ip(&format!(
            "address add 10.77.0.10/24 dev gen0\nneighbour add 10.77.0.1 lladdr {} dev gen0 nud permanent\nroute add default via 10.77.0.1",
            text(to_gateway)
        ))?;
        self.remote.ip(&format!(
            "address add 10.88.0.2/24 dev snk0\nneighbour add 10.88.0.1 lladdr {} dev snk0 nud permanent\nroute add default via 10.88.0.1",
            text(to_host)
        ))
    }

    /// Lets the stations' ends poll, as XDP on the gateway's ends needs where no program is attached to them.
    ///
    /// # Errors
    /// When ethtool refuses it.
    pub fn let_ends_poll(&self) -> Result<()> {
        self.hosts.run("ethtool", &["-K", "gen0", "gro", "on"])?;
        self.remote.run("ethtool", &["-K", "snk0", "gro", "on"])?;
        Ok(())
    }

    /// Lets the stations compute their checksums themselves, as what comes from a wire has them.
    ///
    /// # Errors
    /// When ethtool refuses it.
    pub fn complete_checksums(&self) -> Result<()> {
        self.hosts.run("ethtool", &["-K", "gen0", "tx", "off"])?;
        self.remote.run("ethtool", &["-K", "snk0", "tx", "off"])?;
        Ok(())
    }
}

/// Keeps the kernel's own IPv6 packets (router solicitations, multicast reports) off the wires. They are sent by whatever CPU their timer is
/// on, and that CPU then polls the veth for the generator's packets too, until its ring of 256 is full. An address that is no longer
/// tentative is a change to the gateway besides, after which each flow's next packet is tc's.
fn silence(hosts: &Namespace, gateway: &Namespace, remote: &Namespace) -> Result<()> {
    for room in [hosts, remote] {
        room.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
    }
    // No link-local address (include/uapi/linux/if_link.h, `IN6_ADDR_GEN_MODE_NONE`).
    gateway.sysctl("net/ipv6/conf/default/addr_gen_mode", "1")
}

/// Joins two rooms by a veth, and gives the index of the first end.
fn link(first: &Namespace, (near, near_mac): (&str, [u8; 6]), second: &Namespace, (far, far_mac): (&str, [u8; 6])) -> Result<u32> {
    first.ip(&format!(
        "link add {near} address {} type veth peer name {far} address {} netns {}\nlink set {near} up",
        text(near_mac),
        text(far_mac),
        second.name()
    ))?;
    second.ip(&format!("link set {far} up"))?;
    index(first, near)
}

fn index(room: &Namespace, interface: &str) -> Result<u32> {
    let line = room.run("ip", &["-o", "link", "show", interface])?;
    line.split(':').next().and_then(|number| number.trim().parse().ok()).with_context(|| format!("ip gave no index of {interface}: {line}"))
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
