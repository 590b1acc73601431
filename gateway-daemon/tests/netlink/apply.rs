//! Changes, and their exact undoing.

use std::collections::BTreeSet;

use gateway_daemon::inventory::IfIndex;
use gateway_daemon::model::Route;
use gateway_daemon::netlink::Observer;
use gateway_daemon::netlink::apply::{self, Applied, NextHop, RouteState, Unmanaged};
use ipnet::IpNet;

use crate::namespace::{Peer, link, name, run, settled, sh, skipped, until, wired};

fn nets(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

/// As a crash and a new start would.
fn after_a_crash(applied: &Applied) -> Applied {
    serde_json::from_str(&serde_json::to_string(applied).unwrap()).unwrap()
}

async fn undo(observer: &Observer, applied: &mut Applied) {
    let errors = apply::restore(&observer.handle(), observer.inventory(), applied).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(applied.is_empty(), "{applied:?}");
}

#[test]
fn addresses_are_put_back_and_only_ours_are_removed() {
    run("addresses_are_put_back_and_only_ours_are_removed", || async {
        wired();
        let before = sh("ip -br addr show dev eth9");
        let mut observer = Observer::start().await.unwrap();
        let mut applied = Applied::default();
        let wanted = nets(&["10.0.0.1/24", "10.3.0.15/21", "fd03::1/64"]);
        let report = apply::addresses(&observer.handle(), &link(&observer, "eth9"), &wanted, &mut applied).await;
        assert_eq!(report.added, wanted[1..], "{report:?}");
        let has = |wanted: &'static str| {
            move |seen: &gateway_daemon::inventory::Inventory| {
                seen.link(&name("eth9")).unwrap().addresses.contains(&wanted.parse().unwrap())
            }
        };
        until(&mut observer, "our address", has("10.3.0.15/21")).await;

        sh("ip addr del 10.3.0.15/21 dev eth9");
        until(&mut observer, "its removal", |seen| !has("10.3.0.15/21")(seen)).await;
        let report = apply::addresses(&observer.handle(), &link(&observer, "eth9"), &wanted, &mut applied).await;
        assert_eq!(report.added, nets(&["10.3.0.15/21"]));
        until(&mut observer, "our address again", has("10.3.0.15/21")).await;
        let report = apply::addresses(&observer.handle(), &link(&observer, "eth9"), &wanted, &mut applied).await;
        assert!(report.added.is_empty() && report.errors.is_empty(), "{report:?}");

        // A neighbour's service adds an address beside ours: it must survive us.
        sh("ip addr add 10.3.0.99/21 dev eth9");
        until(&mut observer, "a foreign address", has("10.3.0.99/21")).await;
        let fewer = nets(&["10.0.0.1/24", "fd03::1/64"]);
        let report = apply::addresses(&observer.handle(), &link(&observer, "eth9"), &fewer, &mut applied).await;
        assert_eq!(report.removed, nets(&["10.3.0.15/21"]), "{report:?}");
        assert!(sh("ip addr show dev eth9").contains("10.3.0.99/21"));
        sh("ip addr del 10.3.0.99/21 dev eth9");
        until(&mut observer, "its end", |seen| !has("10.3.0.99/21")(seen)).await;

        undo(&observer, &mut after_a_crash(&applied)).await;
        assert_eq!(sh("ip -br addr show dev eth9"), before);
    });
}

#[test]
fn mtu_and_state_are_given_back() {
    run("mtu_and_state_are_given_back", || async {
        sh("ip link add eth9 mtu 1450 type bridge");
        let mut observer = Observer::start().await.unwrap();
        let mut applied = Applied::default();
        for wanted in [1400, 1380] {
            apply::mtu(&observer.handle(), &link(&observer, "eth9"), Some(wanted), &mut applied).await.unwrap();
            until(&mut observer, "the MTU", |seen| seen.link(&name("eth9")).unwrap().mtu == wanted).await;
        }
        apply::up(&observer.handle(), &link(&observer, "eth9"), &mut applied).await.unwrap();
        until(&mut observer, "up", |seen| seen.link(&name("eth9")).unwrap().up).await;
        let refused = apply::mtu(&observer.handle(), &link(&observer, "lo"), Some(u32::MAX), &mut applied).await.unwrap_err();
        assert!(refused.to_string().starts_with("lo: cannot set the MTU"), "{refused}");

        undo(&observer, &mut after_a_crash(&applied)).await;
        until(&mut observer, "as it was", |seen| seen.link(&name("eth9")).is_some_and(|d| d.mtu == 1450 && !d.up)).await;
    });
}

fn route(to: &str, via: Option<&str>, interface: Option<&str>, source: Option<&str>, metric: Option<u32>) -> Route {
    Route {
        to: to.parse().unwrap(),
        via: via.map(|via| via.parse().unwrap()),
        interface: interface.map(name),
        source: source.map(|source| source.parse().unwrap()),
        metric,
    }
}

fn everything_routed() -> String {
    sh("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all")
}

#[test]
fn routes_are_exactly_those_wanted_and_foreign_ones_stay() {
    run("routes_are_exactly_those_wanted_and_foreign_ones_stay", || async {
        wired();
        sh("ip -6 addr add fd00::1/64 dev eth9 nodad");
        sh("echo 1 > /proc/sys/net/ipv4/conf/eth9/forwarding");
        sh("ip route add 10.8.0.0/16 via 10.0.0.8; ip rule add from 10.77.0.0/16 table 20000");
        let observer = Observer::start().await.unwrap();
        let handle = observer.handle();
        let before = everything_routed();
        let mut applied = Applied::default();
        let mut wanted = vec![
            route("10.9.0.0/16", Some("10.0.0.9"), None, None, None),
            route("10.8.0.0/16", Some("10.0.0.8"), None, None, None),
            route("0.0.0.0/0", Some("10.0.0.5"), Some("eth9"), Some("10.5.0.0/16"), None),
            route("fd09::/48", Some("fd00::9"), Some("eth9"), None, Some(50)),
            route("10.10.0.0/16", None, Some("missing"), None, None),
            route("10.11.0.0/16", Some("192.0.2.1"), None, None, None),
            route("::/0", Some("fd00::5"), None, Some("fd05::/64"), None),
        ];
        for _ in 0..2 {
            let report = apply::routes(&handle, observer.inventory(), &wanted, &mut applied).await.unwrap();
            assert!(report.errors.is_empty(), "{report:?}");
            use RouteState::{Failed, Foreign, Present, Waiting};
            assert!(matches!(&report.states[..], [Present, Foreign, Present, Present, Waiting(_), Failed(_), Present]), "{report:?}");
        }
        let from_us = sh("ip route get 10.200.0.1 from 10.5.0.7 iif eth9");
        assert!(from_us.contains("via 10.0.0.5") && from_us.contains("table 20001"), "table 20000 is somebody else's: {from_us}");
        assert!(sh("ip -6 route show proto 200").contains("fd09::/48 via fd00::9 dev eth9 metric 50"));

        // Deleted behind our back, moved by a reload, and dropped by a reload.
        sh("ip route del 10.9.0.0/16; ip rule del from 10.5.0.0/16");
        wanted[3].via = Some("fd00::10".parse().unwrap());
        wanted.truncate(4);
        applied = after_a_crash(&applied);
        let report = apply::routes(&handle, observer.inventory(), &wanted, &mut applied).await.unwrap();
        assert!(report.errors.is_empty() && !report.states.iter().any(|state| matches!(state, RouteState::Failed(_))), "{report:?}");
        assert!(sh("ip route get 10.200.0.1 from 10.5.0.7 iif eth9").contains("via 10.0.0.5"));
        assert!(sh("ip route show proto 200").contains("10.9.0.0/16 via 10.0.0.9"));
        let v6 = sh("ip -6 rule; ip -6 route show proto 200 table all");
        assert!(v6.contains("via fd00::10") && !v6.contains("via fd00::9 ") && !v6.contains("fd05::"), "{v6}");

        undo(&observer, &mut applied).await;
        assert_eq!(everything_routed(), before);
    });
}

#[test]
fn the_kernel_keeps_next_hops_resolved() {
    run("the_kernel_keeps_next_hops_resolved", || async {
        let peer = Peer::new();
        peer.connect("ours", "theirs");
        sh("ip addr add 10.0.0.1/24 dev ours; ip -6 addr add fd00::1/64 dev ours nodad");
        peer.sh("ip addr add 10.0.0.2/24 dev theirs; ip -6 addr add fd00::2/64 dev theirs nodad");
        sh("ip neigh add 10.0.0.3 lladdr 02:00:00:00:00:03 dev ours nud permanent");
        let mut observer = Observer::start().await.unwrap();
        let ours = link(&observer, "ours").index;
        let hop = |link, address: &str| NextHop { link, address: address.parse().unwrap() };
        let hops = [hop(ours, "10.0.0.2"), hop(ours, "fd00::2"), hop(ours, "10.0.0.3"), hop(IfIndex(4_000), "10.0.0.4")];
        let wanted = BTreeSet::from(hops);
        let mut applied = Applied::default();
        for _ in 0..2 {
            let report = apply::neighbours(&observer.handle(), observer.inventory(), &wanted, &mut applied).await;
            if report.unmanaged.iter().any(|(_, reason)| matches!(reason, Unmanaged::OldKernel)) {
                skipped("the_kernel_keeps_next_hops_resolved", "no managed neighbours (Linux 5.16)");
                return;
            }
            assert_eq!(report.managed, 2, "{report:?}");
            let unmanaged: Vec<_> = report.unmanaged.iter().map(|(hop, reason)| (*hop, matches!(reason, Unmanaged::Permanent))).collect();
            assert_eq!(unmanaged, [(hops[2], true), (hops[3], false)], "{report:?}");
        }
        // Nobody sends a packet to them.
        for address in ["10.0.0.2", "fd00::2"] {
            let resolved = format!(
                "for i in $(seq 100); do ip neigh show {address} | grep -q 'lladdr.*managed.*REACHABLE' && exit; sleep 0.1; done; ip neigh; false"
            );
            sh(&resolved);
        }
        assert!(sh("ip neigh show 10.0.0.3").contains("PERMANENT"));

        // One is wanted no more, and the rest ends with the daemon.
        let fewer = BTreeSet::from([hops[1]]);
        let before = settled(&mut observer).await;
        apply::neighbours(&observer.handle(), observer.inventory(), &fewer, &mut applied).await;
        assert_eq!(
            settled(&mut observer).await,
            before + 1,
            "only the marker's end counts: no flow has to be decided anew because another one ended"
        );
        assert!(!sh("ip neigh show 10.0.0.2").contains("managed"));
        undo(&observer, &mut after_a_crash(&applied)).await;
        assert!(!sh("ip neigh").contains("managed"));
    });
}
