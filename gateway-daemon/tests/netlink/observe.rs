//! What the observer sees, and what it calls a routing change.

use gateway_daemon::inventory::Mac;
use gateway_daemon::netlink::Observer;

use crate::namespace::{Peer, link, name, routing_changes, run, settled, sh, skipped, until, wired};

#[test]
fn links_are_followed_from_birth_to_death() {
    run("links_are_followed_from_birth_to_death", || async {
        sh("ip link add early type bridge");
        let mut observer = Observer::start().await.unwrap();
        assert_eq!(link(&observer, "early").kind.as_deref(), Some("bridge"));
        assert_eq!(link(&observer, "lo").mac, None);

        sh("ip link add late address 02:00:00:00:00:07 mtu 1400 type bridge");
        until(&mut observer, "a new link", |seen| seen.link(&name("late")).is_some()).await;
        let late = link(&observer, "late");
        assert_eq!((late.mac, late.mtu, late.up), (Some(Mac([2, 0, 0, 0, 0, 7])), 1400, false));

        sh("ip link set late name later");
        until(&mut observer, "a renamed link", |seen| seen.link(&name("later")).is_some()).await;
        assert!(observer.inventory().link(&name("late")).is_none());
        assert_eq!(link(&observer, "later").index, late.index);

        for (command, what) in [
            ("ip link set later up", "up"),
            ("ip link set later mtu 1300", "MTU"),
            ("ip link set later address 02:00:00:00:00:08", "MAC"),
            ("ip link set later down", "down"),
            ("ip link del later", "gone"),
        ] {
            assert!(routing_changes(&mut observer, command).await > 0, "{what} is a routing change");
        }
        assert!(observer.inventory().link(&name("later")).is_none());
        assert_eq!(routing_changes(&mut observer, "ip link set early alias nothing").await, 0);
    });
}

#[test]
fn leaving_a_bridge_is_not_leaving_the_machine() {
    run("leaving_a_bridge_is_not_leaving_the_machine", || async {
        sh("ip link add bridge0 type bridge; ip link add port type veth peer name port.peer; ip link set port master bridge0");
        let mut observer = Observer::start().await.unwrap();
        sh("ip link set port nomaster");
        settled(&mut observer).await;
        assert_eq!(link(&observer, "port").kind.as_deref(), Some("veth"));
    });
}

#[test]
fn addresses_keep_the_kernels_order() {
    run("addresses_keep_the_kernels_order", || async {
        wired();
        let mut observer = Observer::start().await.unwrap();
        sh("ip addr add 10.0.0.2/24 dev eth9; ip addr add 192.0.2.1 peer 192.0.2.9/32 dev eth9");
        until(&mut observer, "three addresses", |seen| seen.link(&name("eth9")).unwrap().addresses.len() >= 3).await;
        let d = link(&observer, "eth9");
        let v4: Vec<String> = d.addresses.iter().filter(|net| net.addr().is_ipv4()).map(ToString::to_string).collect();
        // Secondary addresses come last, and a peer's address is not ours.
        assert_eq!(v4, ["10.0.0.1/24", "192.0.2.1/32", "10.0.0.2/24"]);
        assert_eq!(d.primary_v4(), Some("10.0.0.1".parse().unwrap()));
        assert!(routing_changes(&mut observer, "ip addr del 192.0.2.1 peer 192.0.2.9/32 dev eth9").await > 0);

        // The kernel promotes the secondary one.
        sh("echo 1 > /proc/sys/net/ipv4/conf/eth9/promote_secondaries; ip addr del 10.0.0.1/24 dev eth9");
        until(&mut observer, "the promoted address", |seen| seen.link(&name("eth9")).unwrap().primary_v4() == "10.0.0.2".parse().ok())
            .await;
    });
}

#[test]
fn routes_and_rules_of_any_table_and_family_are_routing_changes() {
    run("routes_and_rules_of_any_table_and_family_are_routing_changes", || async {
        wired();
        sh("ip -6 addr add fd00::1/64 dev eth9 nodad");
        let mut observer = Observer::start().await.unwrap();
        for command in [
            "ip route add 10.9.0.0/16 via 10.0.0.2",
            "ip route replace 10.9.0.0/16 via 10.0.0.3",
            "ip route del 10.9.0.0/16",
            "ip -6 route add fd09::/64 via fd00::2",
            "ip -6 route del fd09::/64",
            "ip route add 10.9.0.0/16 via 10.0.0.2 table 77",
            "ip rule add from 10.5.0.0/16 table 77",
            "ip rule del from 10.5.0.0/16",
            "ip -6 rule add from fd05::/64 table 78",
        ] {
            assert!(routing_changes(&mut observer, command).await > 0, "{command}");
        }
        assert_eq!(routing_changes(&mut observer, "ip route get 10.0.0.9 > /dev/null").await, 0);
    });
}

#[test]
fn only_a_neighbours_address_matters_not_its_state() {
    run("only_a_neighbours_address_matters_not_its_state", || async {
        wired();
        sh("ip -6 addr add fd00::1/64 dev eth9 nodad");
        // Nobody answers there: on a busy machine the kernel's own timers would turn a probed entry into a failed one between two steps.
        for family in ["ipv4", "ipv6"] {
            sh(&format!("sysctl -qw net.{family}.neigh.eth9.retrans_time_ms=600000 net.{family}.neigh.eth9.delay_first_probe_time=600"));
        }
        let mut observer = Observer::start().await.unwrap();
        for ip in ["10.0.0.2", "fd00::2"] {
            let set = |mac: &str, state: &str| format!("ip neigh replace {ip} lladdr 02:00:00:00:00:{mac} dev eth9 nud {state}");
            let first = routing_changes(&mut observer, &set("01", "reachable")).await;
            assert_eq!(first, 0, "{ip}: a first resolution changes no flow");
            for state in ["stale", "delay", "probe", "reachable", "permanent", "stale"] {
                assert_eq!(routing_changes(&mut observer, &set("01", state)).await, 0, "{ip}: {state}");
            }
            assert!(routing_changes(&mut observer, &set("02", "stale")).await > 0, "{ip}: another MAC");
            assert!(routing_changes(&mut observer, &format!("ip neigh replace {ip} dev eth9 nud failed")).await > 0, "{ip}: failed");
            assert_eq!(routing_changes(&mut observer, &set("02", "stale")).await, 0, "{ip}: answers again");
            assert!(routing_changes(&mut observer, &format!("ip neigh del {ip} dev eth9")).await > 0, "{ip}: deleted");
        }
        let proxy = routing_changes(&mut observer, "ip neigh add proxy 10.0.0.77 dev eth9; ip neigh del proxy 10.0.0.77 dev eth9").await;
        assert_eq!(proxy, 0, "a proxy entry has no MAC");
    });
}

#[test]
fn xdp_abilities_of_a_veth_follow_its_peer() {
    run("xdp_abilities_of_a_veth_follow_its_peer", || async {
        let peer = Peer::new();
        peer.connect("ours", "theirs");
        let mut observer = Observer::start().await.unwrap();
        let Some(xdp) = link(&observer, "ours").xdp else {
            skipped("xdp_abilities_of_a_veth_follow_its_peer", "no netdev family (Linux 6.3)");
            return;
        };
        assert!(xdp.native && !xdp.transmit, "{xdp:?}");
        let transmit = |wanted| {
            move |seen: &gateway_daemon::inventory::Inventory| {
                seen.link(&name("ours")).and_then(|link| link.xdp).is_some_and(|xdp| xdp.transmit == wanted)
            }
        };
        peer.sh("ethtool -K theirs gro on");
        until(&mut observer, "that redirecting became possible", transmit(true)).await;
        peer.sh("ethtool -K theirs gro off");
        until(&mut observer, "that redirecting became impossible", transmit(false)).await;
    });
}

#[test]
fn nothing_is_missed_after_an_overrun() {
    run("nothing_is_missed_after_an_overrun", || async {
        wired();
        sh("ip link add gone type bridge");
        let mut observer = Observer::start().await.unwrap();
        // This blocks the runtime, so that nobody reads the socket: it overflows, and what comes then is lost.
        let routes = r#"{ printf "route add unreachable 11.%d.%d.0/24\n", $1 / 256, $1 % 256 }"#;
        let batch = format!("seq 0 29999 | awk '{routes}' | ip -batch -");
        sh(&format!("{batch}; ip link add lost type bridge; ip link del gone; ip addr add 10.0.0.2/24 dev eth9"));
        until(&mut observer, "what came during the overrun", |seen| {
            seen.link(&name("lost")).is_some()
                && seen.link(&name("gone")).is_none()
                && seen.link(&name("eth9")).is_some_and(|d| d.addresses.iter().any(|net| net.to_string() == "10.0.0.2/24"))
        })
        .await;
        assert!(observer.inventory().routing_changes < 30_000, "nothing was lost, so nothing was proven");
        assert!(routing_changes(&mut observer, "ip link set eth9 mtu 1400").await > 0, "it follows on afterwards");
    });
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    run("a_cancelled_wait_loses_nothing", || async {
        let mut observer = Observer::start().await.unwrap();
        wired();
        // Each wait is cancelled at its first or second pause.
        for _ in 0..200 {
            tokio::select! {
                biased;
                _ = observer.changed() => {}
                () = tokio::task::yield_now() => {}
            }
        }
        until(&mut observer, "the address", |seen| seen.link(&name("eth9")).is_some_and(|d| d.primary_v4().is_some())).await;
    });
}
