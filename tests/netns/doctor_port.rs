//! What the doctor says of a port that filters as OVN's port security does, planted as rules of a bridge.

use gateway_tests::Lab;
use gateway_tests::lab::{GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6, VM1, VM1_V6};
use gateway_tests::wait::wait_until;

use crate::bench::in_a_lab;
use crate::doctor::{LIMIT, examine, mac, nft, tidy};
use crate::traffic::answers;

in_a_lab! {
    port_security_of_addresses_is_found_and_that_of_macs_is_not_held_against_the_platform
    a_port_that_delivers_only_its_own_address_is_found
    port_security_of_ipv6_is_found_by_itself
    a_switch_that_listens_to_mld_is_not_taken_for_a_filter
}

/// Port security of an OVN port, as the bridge's filter: by MAC, and by address if there is one. Of IPv6, link-local addresses pass, and
/// multicast inwards, as OVN has it.
fn secure(lab: &Lab, addresses: &[&str], inwards: &[&str]) {
    let mac = mac(&lab.gateway, "eth1");
    let mut rules = vec![format!("in iifname overlay0 ether saddr != {mac} drop")];
    for address in addresses {
        rules.extend(match address.contains(':') {
            true => vec![format!("in iifname overlay0 ether type ip6 ip6 saddr != {{ {address}, ::, fe80::/10 }} drop")],
            false => vec![
                format!("in iifname overlay0 ether type arp arp saddr ip != {address} drop"),
                format!("in iifname overlay0 ether type ip ip saddr != {address} drop"),
            ],
        });
    }
    for address in inwards {
        rules.push(match address.contains(':') {
            true => format!("out oifname overlay0 ether type ip6 ip6 daddr != {{ {address}, fe80::/10, ff00::/8 }} drop"),
            false => format!("out oifname overlay0 ether type ip ip daddr != {{ {address}, 224.0.0.0/4 }} drop"),
        });
    }
    nft(&lab.switch, "add table bridge port; add chain bridge port in { type filter hook prerouting priority 0; }");
    nft(&lab.switch, "add chain bridge port out { type filter hook postrouting priority 0; }");
    for rule in rules {
        nft(&lab.switch, &format!("add rule bridge port {rule}"));
    }
}

fn port_security_of_addresses_is_found_and_that_of_macs_is_not_held_against_the_platform(lab: &Lab) {
    tidy(lab);
    secure(lab, &[], &[]);
    let verdict = examine(lab, &[]);
    verdict.is_healthy();
    assert!(verdict.note("foreign-mac").is_some(), "{:#}", verdict.report["findings"]);
    assert_eq!(verdict.leg("eth1")["port"], "mac-only");

    nft(&lab.switch, "delete table bridge port");
    let own = [GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6];
    secure(lab, &own, &own);
    let verdict = examine(lab, &[]);
    let finding = verdict.only("foreign-source fault eth1");
    assert_eq!(verdict.leg("eth1")["port"], "mac-and-address");
    assert!(
        finding["evidence"][0].as_str().unwrap().contains("10.227.128.11 answers a ping from our own address, but not one from"),
        "{finding:#}"
    );
    assert_eq!(finding["title"], "the port of eth1 drops IPv4 and IPv6 packets that do not come from its own address");
    assert!(finding["evidence"][1].as_str().unwrap().contains("fd00:227::11 answers a ping from our own address"), "{finding:#}");
    assert!(finding["remedies"][0]["text"].as_str().unwrap().contains("ipam:\n        mode: Disabled"), "{finding:#}");
    // Where nobody answers pings, as Windows, ARP tells it.
    lab.vm1.sysctl("net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    examine(lab, &["--peer", "10.227.128.11"]).all().iter().find(|finding| finding["id"] == "foreign-source").expect("by ARP");
}

fn a_port_that_delivers_only_its_own_address_is_found(lab: &Lab) {
    tidy(lab);
    secure(lab, &[], &[GATEWAY_OVERLAY]);
    let verdict = examine(lab, &[]);
    verdict.only("foreign-destination fault eth1");
}

fn port_security_of_ipv6_is_found_by_itself(lab: &Lab) {
    tidy(lab);
    secure(lab, &[GATEWAY_OVERLAY_V6], &[GATEWAY_OVERLAY_V6]);
    let verdict = examine(lab, &[]);
    let finding = verdict.only("foreign-source fault eth1");
    assert_eq!(finding["title"], "the port of eth1 drops IPv6 packets that do not come from its own address");
    assert_eq!(verdict.leg("eth1")["port"], "mac-and-address");
    let good = verdict.good("port-security");
    assert!(good.contains("eth1: IPv4 packets from foreign addresses get out"), "{good}");
    // Where nobody answers pings, neighbour discovery tells it.
    for vm in [&lab.vm1, &lab.vm2] {
        vm.sysctl("net/ipv6/icmp/echo_ignore_all", "1").unwrap();
    }
    let verdict = examine(lab, &["--peer", VM1_V6]);
    let finding = verdict.all().iter().find(|finding| finding["id"] == "foreign-source").expect("by neighbour discovery");
    assert!(finding["evidence"][0].as_str().unwrap().starts_with("fd00:227::11 answers neighbour discovery from our own"), "{finding:#}");
    for vm in [&lab.vm1, &lab.vm2] {
        vm.sysctl("net/ipv6/icmp/echo_ignore_all", "0").unwrap();
    }
    nft(&lab.switch, "delete table bridge port");
    secure(lab, &[], &[GATEWAY_OVERLAY_V6]);
    let verdict = examine(lab, &[]);
    let finding = verdict.only("foreign-destination fault eth1");
    assert_eq!(finding["title"], "the port of eth1 does not get IPv6 packets for other addresses than its own");
    nft(&lab.switch, "delete table bridge port");
    // A segment without IPv6 is no finding, and is not passed over in silence.
    lab.gateway.ip("address flush dev eth1 scope global").unwrap();
    lab.gateway.ip("address add 10.227.128.15/21 dev eth1").unwrap();
    assert!(answers(&lab.gateway, VM1));
    let verdict = examine(lab, &[]);
    verdict.is_healthy();
    let skipped = verdict.skipped("port-security");
    assert!(
        skipped.contains("eth1: what IPv6 packets pass besides its own: it has no IPv6 address, or a link-local one only"),
        "{skipped}"
    );
}

fn a_switch_that_listens_to_mld_is_not_taken_for_a_filter(lab: &Lab) {
    tidy(lab);
    // It delivers solicitations to those only who have joined the group of the address.
    let snooping = "mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 10 mcast_startup_query_interval 50";
    lab.switch.ip(&format!("link set br0 type bridge {snooping}")).unwrap();
    let knows = || Ok(lab.switch.run("bridge", &["mdb", "show", "dev", "br0"])?.contains("port overlay0 grp ff02::1:ff00:15"));
    wait_until(LIMIT, "the switch to know who listens", knows).unwrap();
    let verdict = examine(lab, &["--peer", VM1_V6]);
    verdict.is_healthy();
    let good = verdict.good("port-security");
    assert!(good.contains("eth1: IPv4 and IPv6 packets to foreign addresses come in"), "{good}");
}
