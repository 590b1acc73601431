//! Sysctls set and given back, and what they are needed for.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use gateway_daemon::model::{SourceValidation, Timeouts};
use gateway_daemon::netlink::conntrack::{Conntrack, IpProtocol, Mark, TcpState};
use gateway_daemon::sysctl::{self, KernelPath, Saved};

use crate::namespace::{Peer, name, run, sh, two_hosts};

fn everything_set() -> String {
    sh(
        "cd /proc/sys/net; grep -r . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/ip_local_port_range 2>/dev/null | grep -v stable_secret | sort",
    )
}

#[test]
fn every_value_is_given_back_after_a_crash_too() {
    run("every_value_is_given_back_after_a_crash_too", || async {
        sh("ip link add eth0.5 type bridge; ip link add other type bridge; ip link add short type bridge");
        sh("cd /proc/sys/net/ipv4/conf; echo 1 > eth0.5/rp_filter; echo 1 > eth0.5/send_redirects");
        let before = everything_set();
        let mut saved = Saved::default();
        for _ in 0..2 {
            sysctl::forward(&mut saved, &name("eth0.5"), SourceValidation::Loose).unwrap();
            sysctl::forward(&mut saved, &name("short"), SourceValidation::Strict).unwrap();
            sysctl::forward(&mut saved, &name("missing"), SourceValidation::Strict).unwrap();
            sysctl::local_ports(&mut saved, sysctl::LOCAL_PORTS).unwrap();
        }
        let v4 = sh(
            "cd /proc/sys/net/ipv4; cat conf/eth0.5/forwarding conf/eth0.5/send_redirects conf/eth0.5/rp_filter ip_local_port_range ip_forward",
        );
        assert_eq!(v4, "1\n0\n2\n61000\t65535\n0\n");
        let v6 = sh("cd /proc/sys/net/ipv6/conf; cat eth0.5/forwarding eth0.5/accept_ra other/accept_ra other/forwarding all/forwarding");
        assert_eq!(v6, "1\n2\n1\n0\n0\n", "and other interfaces stay as they were");

        let mut saved: Saved = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
        sh("ip link del short");
        let errors = saved.restore();
        assert!(errors.is_empty() && saved.is_empty(), "{errors:?} {saved:?}");
        sh("ip link add short type bridge");
        assert_eq!(everything_set(), before);
    });
}

#[test]
fn what_somebody_else_set_meanwhile_stays() {
    run("what_somebody_else_set_meanwhile_stays", || async {
        let mut saved = Saved::default();
        sysctl::local_ports(&mut saved, sysctl::LOCAL_PORTS).unwrap();
        sh("echo 40000 50000 > /proc/sys/net/ipv4/ip_local_port_range");
        assert!(saved.restore().is_empty());
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_local_port_range"), "40000\t50000\n");
        let error = sysctl::local_ports(&mut saved, "9 1").unwrap_err().to_string();
        assert!(error.contains("ip_local_port_range") && error.contains("9 1"), "{error}");
    });
}

#[test]
fn connection_tracking_counts_and_forgets_as_the_policy_says() {
    run("connection_tracking_counts_and_forgets_as_the_policy_says", || async {
        let all = || sh("cd /proc/sys/net/netfilter; grep . nf_conntrack_*timeout* nf_conntrack_acct nf_conntrack_timestamp");
        let before = all();
        let timeouts = Timeouts {
            tcp_established: Duration::from_secs(7441),
            tcp_opening: Duration::from_secs(241),
            tcp_closing: Duration::from_secs(242),
            udp: Duration::from_secs(301),
            icmp: Duration::from_millis(60_500),
        };
        let mut saved = Saved::default();
        let missing = sysctl::track(&mut saved, &timeouts).unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        // The kernel's own word on what it gives each state, by flows made in it.
        sh("nft add table inet t; nft add chain inet t c '{ type filter hook output priority 0; ct state new; }'");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"word", "127.0.0.1:9").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Ended by RST.
        let reset = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        rustix::net::sockopt::set_socket_linger(&reset, Some(Duration::ZERO)).unwrap();
        drop(reset);
        let mut connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // Unacknowledged until somebody answers.
        connection.write_all(b"word").unwrap();
        sh("ping -q -c 1 127.0.0.1");
        let flows = Conntrack::open().unwrap().dump(Mark::ANY).unwrap();
        let left = |protocol, state| {
            let mut entries = flows.iter().filter(|flow| flow.protocol == protocol && flow.tcp == state);
            let entry = entries.next().unwrap_or_else(|| panic!("no {protocol:?} {state:?}: {flows:#?}"));
            assert!(entry.original_counters.is_some_and(|counters| counters.packets > 0) && entry.started.is_some(), "{entry:?}");
            entry.timeout.unwrap().as_secs()
        };
        for (protocol, state, expected) in [
            (IpProtocol::UDP, None, 301),
            (IpProtocol::TCP, Some(TcpState::Close), 242),
            (IpProtocol::TCP, Some(TcpState::Established), 7441),
            (IpProtocol::ICMP, None, 61),
        ] {
            let left = left(protocol, state);
            assert!((expected - 5..=expected).contains(&left), "{protocol:?} {state:?}: {left}");
        }

        let now = all();
        for (key, value) in [("tcp_timeout_established", 7441), ("tcp_timeout_unacknowledged", 7441), ("tcp_timeout_syn_sent", 241)] {
            assert!(now.contains(&format!("nf_conntrack_{key}:{value}\n")), "{now}");
        }
        let errors = saved.restore();
        assert!(errors.is_empty() && saved.is_empty(), "{errors:?}");
        assert_eq!(all(), before);
    });
}

#[test]
fn a_learned_default_route_survives_forwarding() {
    run("a_learned_default_route_survives_forwarding", || async {
        let router = Peer::new();
        router.connect("wan", "router");
        sh("ip -6 addr add fe80::1/64 dev wan nodad; ip link add zone type bridge");
        router.sh("ip -6 addr add fe80::9/64 dev router nodad");
        // A router advertisement (RFC 4861 section 4.2): a default router for 1800 seconds. The kernel fills the checksum in.
        let advertise =
            r#"printf "\206\0\0\0\100\0\7\10\0\0\0\0\0\0\0\0" | socat -u - IP6-SENDTO:[fe80::1%router]:58,ipv6-unicast-hops=255"#;
        let learned = || sh("ip -6 route show default").contains("dev wan proto ra");
        for _ in 0..50 {
            if !learned() {
                router.sh(&format!("{advertise}; sleep 0.1"));
            }
        }
        assert!(learned(), "the advertisement was not taken: {}", sh("ip -6 route; ip -6 addr"));
        sysctl::forward(&mut Saved::default(), &name("zone"), SourceValidation::Strict).unwrap();
        assert!(learned());
    });
}

#[test]
fn the_kernel_forwards_between_zone_interfaces_only_by_these() {
    run("the_kernel_forwards_between_zone_interfaces_only_by_these", || async {
        let (a, _b) = two_hosts();
        assert!(!a.can("ping -c1 -W1 10.2.0.2"), "nothing is forwarded before");
        let mut saved = Saved::default();
        let KernelPath { ipv6 } = sysctl::forward(&mut saved, &name("zone.a"), SourceValidation::Strict).unwrap();
        sysctl::forward(&mut saved, &name("zone.b"), SourceValidation::Strict).unwrap();
        assert!(a.can("ping -c1 -W5 10.2.0.2"), "IPv4 with ip_forward=0");
        assert_eq!(a.can("ping -6 -c1 -W5 fd02::2"), ipv6, "IPv6 with conf/all/forwarding=0");
        assert!(saved.restore().is_empty());
        assert!(!a.can("ping -c1 -W1 10.2.0.2") && !a.can("ping -6 -c1 -W1 fd02::2"), "nothing is forwarded afterwards");
    });
}
