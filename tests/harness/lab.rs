//! The topology of the users' case, in namespaces:
//!
//! ```text
//!  vm1 10.227.128.11 ──┐ switch                 gateway                    pods                     onprem
//!                      ├─ br0 ── overlay0 ══ eth1      eth0 ══ pods0 10.128.0.1   onprem0 ══ eth0 10.10.0.10
//!  vm2 10.227.128.12 ──┘        MTU 1400    (.15)  10.128.0.15          (router and server)
//! ```
//!
//! In the gateway the overlay's IPv4 address is missing on purpose: the policy configures it. IPv6 is there throughout.

use anyhow::Result;

use crate::Namespace;
use crate::namespace::unique_prefix;

/// The address of the first overlay VM.
pub const VM1: &str = "10.227.128.11";
/// The address of the second overlay VM.
pub const VM2: &str = "10.227.128.12";
/// The gateway's address on the overlay, which the policy gives it.
pub const GATEWAY_OVERLAY: &str = "10.227.128.15";
/// The gateway's address on the pod network.
pub const GATEWAY_PODS: &str = "10.128.0.15";
/// The pod side's router, and its server at the same time.
pub const SERVER: &str = "10.128.0.1";
/// The host behind the pod side's router.
pub const ONPREM: &str = "10.10.0.10";
/// The first overlay VM's IPv6 address.
pub const VM1_V6: &str = "fd00:227::11";
/// The second overlay VM's IPv6 address.
pub const VM2_V6: &str = "fd00:227::12";
/// The gateway's IPv6 address on the overlay.
pub const GATEWAY_OVERLAY_V6: &str = "fd00:227::15";
/// The gateway's IPv6 address on the pod network.
pub const GATEWAY_PODS_V6: &str = "fd00:128::15";
/// The pod-side server's IPv6 address.
pub const SERVER_V6: &str = "fd00:128::1";
/// The on-premises host's IPv6 address.
pub const ONPREM_V6: &str = "fd00:10::10";
/// The overlay's MTU in bytes, OVN's default.
pub const OVERLAY_MTU: u32 = 1400;

/// The lab's namespaces. Dropped, all of them go, with everything that runs in them.
#[derive(Debug)]
pub struct Lab {
    /// Where the gateway runs: `eth0` towards the pods, `eth1` towards the overlay, no forwarding, no address on `eth1`.
    pub gateway: Namespace,
    /// The pod side: router to on-premises, and server.
    pub pods: Namespace,
    /// A host behind the pod side's router.
    pub onprem: Namespace,
    /// The overlay's bridge `br0`.
    pub switch: Namespace,
    /// The first overlay VM; its leg is `eth0`.
    pub vm1: Namespace,
    /// The second overlay VM; its leg is `eth0`.
    pub vm2: Namespace,
}

/// The namespaces' short names, in the order of [`names`].
pub const ROOMS: [&str; 6] = ["gateway", "pods", "onprem", "switch", "vm1", "vm2"];

/// The full names of the namespaces of the lab `prefix`: `<prefix>-<room>`.
#[must_use]
pub fn names(prefix: &str) -> [String; 6] {
    ROOMS.map(|room| format!("{prefix}-{room}"))
}

impl Lab {
    /// Builds a lab whose namespaces are named `<prefix>-<room>`. On failure nothing of it is left.
    ///
    /// # Errors
    /// When a namespace or a link cannot be made.
    pub fn up(prefix: &str) -> Result<Self> {
        let make = |room: &str| Namespace::create(&format!("{prefix}-{room}"));
        let lab = Self {
            gateway: make("gateway")?,
            pods: make("pods")?,
            onprem: make("onprem")?,
            switch: make("switch")?,
            vm1: make("vm1")?,
            vm2: make("vm2")?,
        };
        lab.wire()?;
        Ok(lab)
    }

    /// Builds a lab with a name of its own, for a test.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn unique(purpose: &str) -> Result<Self> {
        Self::up(&unique_prefix(purpose))
    }

    /// Lets the lab outlive this value.
    pub fn keep(self) {
        let Self { gateway, pods, onprem, switch, vm1, vm2 } = self;
        for namespace in [gateway, pods, onprem, switch, vm1, vm2] {
            namespace.keep();
        }
    }

    /// Every namespace of the lab.
    #[must_use]
    pub fn namespaces(&self) -> [&Namespace; 6] {
        [&self.gateway, &self.pods, &self.onprem, &self.switch, &self.vm1, &self.vm2]
    }

    /// Makes the kernel of the gateway namespace forward, without any translation or filter: what the topology carries
    /// by itself, and a stand-in for the gateway while the lab itself is tested.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forward_by_kernel(&self) -> Result<()> {
        self.gateway.ip(&format!("address add {GATEWAY_OVERLAY}/21 dev eth1\nlink set eth1 mtu {OVERLAY_MTU}"))?;
        self.gateway.sysctl("net/ipv4/ip_forward", "1")?;
        self.gateway.sysctl("net/ipv6/conf/all/forwarding", "1")
    }

    fn wire(&self) -> Result<()> {
        let (pods, switch) = (self.pods.name(), self.switch.name());
        self.switch.ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set br0 mtu 1400 up")?;
        for (vm, leg, address, address_v6) in [(&self.vm1, "vm1", VM1, VM1_V6), (&self.vm2, "vm2", VM2, VM2_V6)] {
            vm.ip(&format!("link add eth0 mtu {OVERLAY_MTU} type veth peer name {leg} mtu {OVERLAY_MTU} netns {switch}"))?;
            self.switch.ip(&format!("link set {leg} master br0 up"))?;
            vm.ip(&format!(
                "link set eth0 up\n\
                 address add {address}/21 dev eth0\n\
                 address add {address_v6}/64 dev eth0 nodad\n\
                 route add default via {GATEWAY_OVERLAY}\n\
                 route add ::/0 via {GATEWAY_OVERLAY_V6}"
            ))?;
        }
        self.gateway.ip(&format!(
            "link add eth0 type veth peer name pods0 netns {pods}\n\
             link add eth1 type veth peer name overlay0 mtu {OVERLAY_MTU} netns {switch}"
        ))?;
        self.switch.ip("link set overlay0 master br0 up")?;
        self.pods.ip(&format!("link add onprem0 type veth peer name eth0 netns {}", self.onprem.name()))?;
        self.pods.ip(&format!(
            "link set pods0 up\nlink set onprem0 up\n\
             address add {SERVER}/24 dev pods0\naddress add {SERVER_V6}/64 dev pods0 nodad\n\
             address add 10.10.0.1/16 dev onprem0\naddress add fd00:10::1/64 dev onprem0 nodad\n\
             route add 10.227.128.0/21 via {GATEWAY_PODS}\n\
             route add fd00:227::/64 via {GATEWAY_PODS_V6}"
        ))?;
        self.pods.sysctl("net/ipv4/ip_forward", "1")?;
        self.pods.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        self.onprem.ip(&format!(
            "link set eth0 up\n\
             address add {ONPREM}/16 dev eth0\naddress add {ONPREM_V6}/64 dev eth0 nodad\n\
             route add default via 10.10.0.1\nroute add ::/0 via fd00:10::1"
        ))?;
        self.gateway.ip(&format!(
            "link set eth0 up\nlink set eth1 up\n\
             address add {GATEWAY_PODS}/24 dev eth0\naddress add {GATEWAY_PODS_V6}/64 dev eth0 nodad\n\
             address add {GATEWAY_OVERLAY_V6}/64 dev eth1 nodad\n\
             route add default via {SERVER}\nroute add ::/0 via {SERVER_V6}"
        ))?;
        // A veth accepts frames redirected by XDP only while its peer polls (NAPI), which GRO switches on.
        for (namespace, interface) in [(&self.pods, "pods0"), (&self.switch, "overlay0"), (&self.gateway, "eth0"), (&self.gateway, "eth1")]
        {
            namespace.run("ethtool", &["-K", interface, "gro", "on"])?;
        }
        Ok(())
    }
}
