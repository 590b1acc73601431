//! What every test here begins with.

use gateway_tests::skip::may_use_namespaces;
use gateway_tests::{Gateway, Lab};

use crate::policy::Policy;

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// tc alone.
    Tc,
    /// XDP in front of tc.
    Xdp,
    /// The kernel's own forwarding and NAT.
    Nftables,
}

impl Mode {
    /// The word of the policy.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::Nftables => "nftables",
        }
    }

    /// The mode of a running gateway.
    pub fn of(gateway: &Gateway<'_>) -> Self {
        let shown = gateway.interface("eth0").unwrap()["datapath"].clone();
        *[Self::Tc, Self::Xdp, Self::Nftables].iter().find(|mode| shown == mode.datapath()).unwrap_or_else(|| panic!("{shown}"))
    }

    /// What `gateway status` says of an interface in this mode.
    pub fn datapath(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp+tc",
            Self::Nftables => "nftables",
        }
    }
}

/// Runs a test in a lab of its own, in which no gateway runs yet.
pub fn in_lab(test: &str, body: impl FnOnce(&Lab)) {
    if may_use_namespaces(test) {
        body(&Lab::unique("netns").unwrap());
    }
}

/// Runs a test in a lab of its own with a gateway of the seed policy in one mode, which has really taken it.
pub fn with_seed(test: &str, mode: Mode, body: impl FnOnce(&Lab, &Gateway<'_>)) {
    in_lab(test, |lab| {
        if mode == Mode::Xdp {
            complete_checksums(lab);
        }
        let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(mode).text()).unwrap();
        for leg in ["eth0", "eth1"] {
            let shown = gateway.interface(leg).unwrap();
            assert_eq!(shown["datapath"], mode.datapath(), "{shown:#}");
        }
        body(lab, &gateway);
    });
}

/// Lets every station compute its checksums itself, as what comes from a wire has them. Otherwise its packets arrive with open checksums,
/// all of which XDP must leave to tc, and XDP would carry nothing.
pub fn complete_checksums(lab: &Lab) {
    for (namespace, interface) in [(&lab.vm1, "eth0"), (&lab.vm2, "eth0"), (&lab.pods, "pods0"), (&lab.onprem, "eth0")] {
        namespace.run("ethtool", &["-K", interface, "tx", "off"]).unwrap();
    }
}

/// Makes a test `<name>::by_tc` and a test `<name>::by_xdp` of a function that takes a lab and a gateway of the seed policy.
macro_rules! in_both_modes {
    ($($name:ident)*) => {
        $(mod $name {
            use crate::bench::{Mode, with_seed};

            #[test]
            fn by_tc() {
                with_seed(concat!(module_path!(), "::by_tc"), Mode::Tc, super::$name);
            }

            #[test]
            fn by_xdp() {
                with_seed(concat!(module_path!(), "::by_xdp"), Mode::Xdp, super::$name);
            }
        })*
    };
}

/// [`in_both_modes`] and a test `<name>::by_nftables`: what holds for every datapath.
macro_rules! in_every_mode {
    ($($name:ident)*) => {
        $(mod $name {
            use crate::bench::{Mode, with_seed};

            #[test]
            fn by_tc() {
                with_seed(concat!(module_path!(), "::by_tc"), Mode::Tc, super::$name);
            }

            #[test]
            fn by_xdp() {
                with_seed(concat!(module_path!(), "::by_xdp"), Mode::Xdp, super::$name);
            }

            #[test]
            fn by_nftables() {
                with_seed(concat!(module_path!(), "::by_nftables"), Mode::Nftables, super::$name);
            }
        })*
    };
}

/// Makes a test `<name>::in_namespaces` of each function that takes a lab.
macro_rules! in_a_lab {
    ($($name:ident)*) => {
        $(mod $name {
            #[test]
            fn in_namespaces() {
                crate::bench::in_lab(concat!(module_path!(), "::in_namespaces"), super::$name);
            }
        })*
    };
}

pub(crate) use {in_a_lab, in_both_modes, in_every_mode};
