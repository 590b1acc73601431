//! The users' own policy, as it stands: the overlay reaches the pods, and is reached through a port forward.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_tests::lab::{GATEWAY_OVERLAY, GATEWAY_PODS, ONPREM, SERVER, VM1, VM2};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, tcp_listening, udp_bound};
use tempfile::TempDir;

use crate::bench::{Mode, in_a_lab, in_every_mode};
use crate::policy::Policy;
use crate::traffic::{self, PATIENCE, accept, answers, connect, endpoint, listen, talk, udp};

in_every_mode! {
    the_overlay_reaches_the_pods_under_the_gateways_address
    programs_reach_servers
    a_port_forward_reaches_the_vm_which_sees_the_real_client
    what_no_rule_allows_is_refused_and_counted_under_default
    vms_reach_each_other_through_the_gateway
}
in_a_lab! { the_seed_policy_runs_as_it_stands }

const LIFETIME: Duration = Duration::from_secs(60);

/// The server sees the gateway and a port that is none of the gateway's own connections.
fn is_masqueraded(seen: SocketAddr) -> bool {
    seen.ip() == GATEWAY_PODS.parse::<IpAddr>().unwrap() && (1024..61000).contains(&seen.port())
}

fn the_seed_policy_runs_as_it_stands(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    assert!(answers(&lab.vm1, GATEWAY_OVERLAY), "the gateway itself answers on the address that the policy gives it");
    let leg = gateway.interface("eth1").unwrap();
    assert_eq!(leg["datapath"], "tc", "auto on a veth");
    assert!(leg["reason"].as_str().unwrap().contains("veth"), "status says why: {leg:#}");
    assert_eq!((&leg["zone"], &leg["state"], &leg["mtu"]), (&"overlay".into(), &"up".into(), &1400.into()));
}

fn the_overlay_reaches_the_pods_under_the_gateways_address(lab: &Lab, gateway: &Gateway<'_>) {
    assert!(answers(&lab.vm1, SERVER) && answers(&lab.vm2, ONPREM));

    let server = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, seen) = accept(&server);
    assert!(is_masqueraded(seen), "{seen}");
    talk(&mut client, &mut accepted).unwrap();

    let server = udp(&lab.pods, "10.128.0.1:5353");
    let datagrams = udp(&lab.vm2, "10.227.128.12:4000");
    let seen_udp = traffic::ask(&datagrams, &server, "10.128.0.1:5353");
    assert!(is_masqueraded(seen_udp), "{seen_udp}");

    let flows = gateway.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["protocol"] == "tcp").unwrap_or_else(|| panic!("no tcp flow in {flows:#?}"));
    assert_eq!(flow["internal"], client.local_addr().unwrap().to_string());
    assert_eq!(flow["external"], seen.to_string());
    assert_eq!(flow["remote"], "10.128.0.1:8080");
    assert_eq!(flow["state"], "established");
    assert_eq!((&flow["rule"], &flow["nat_rule"]), (&"overlay to pods".into(), &"windows masquerade".into()));
    assert_eq!((&flow["from_zone"], &flow["to_zone"]), (&"overlay".into(), &"pods".into()));
    assert!(flow["packets_original"].as_u64() >= Some(3) && flow["packets_reply"].as_u64() >= Some(2), "{flow:#}");
    assert!(flow["bytes_original"].as_u64() > Some(100), "{flow:#}");

    let mappings = gateway.mappings().unwrap();
    let mapping = mappings.iter().find(|mapping| mapping["protocol"] == "udp").unwrap();
    assert_eq!(mapping["internal"], "10.227.128.12:4000");
    assert_eq!(mapping["external"], seen_udp.to_string());
    assert_eq!(mapping["rule"], "windows masquerade");

    drop(client);
    drop(accepted);
    wait_until(PATIENCE, "the flow to close", || {
        Ok(gateway.flows()?.iter().all(|flow| flow["protocol"] != "tcp" || flow["state"] == "closed"))
    })
    .unwrap();
}

fn programs_reach_servers(lab: &Lab, _gateway: &Gateway<'_>) {
    let directory = TempDir::with_prefix("gateway-nginx-").unwrap();
    let files = directory.path().to_str().unwrap();
    let config = format!("{files}/nginx.conf");
    let text = format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {files}/pid;\nevents {{}}\nhttp {{ access_log off;\n\
         client_body_temp_path {files}; proxy_temp_path {files}; fastcgi_temp_path {files}; uwsgi_temp_path {files}; scgi_temp_path {files};\n\
         server {{ listen 80; location / {{ return 200 \"$remote_addr\"; }} }} }}\n"
    );
    std::fs::write(&config, text).unwrap();
    lab.pods.spawn(LIFETIME, "nginx", &["-e", "stderr", "-p", files, "-c", &config]).unwrap();
    let words = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts"];
    let words = [&words[..], &["--bind-interfaces", "--listen-address=10.128.0.1", "--address=/app.pods.test/10.128.0.99"]].concat();
    lab.pods.spawn(LIFETIME, "dnsmasq", &words).unwrap();
    wait_until(PATIENCE, "the servers", || Ok(tcp_listening(&lab.pods, 80)? && udp_bound(&lab.pods, 53)?)).unwrap();

    let seen = lab.vm1.run("curl", &["--silent", "--show-error", "--max-time", "10", "http://10.128.0.1/"]).unwrap();
    assert_eq!(seen, GATEWAY_PODS);
    for transport in ["+notcp", "+tcp"] {
        let answer = lab.vm2.run("dig", &["+short", "+time=5", "+tries=2", transport, "@10.128.0.1", "app.pods.test"]).unwrap();
        assert_eq!(answer.trim(), "10.128.0.99", "{transport}");
    }
}

fn a_port_forward_reaches_the_vm_which_sees_the_real_client(lab: &Lab, gateway: &Gateway<'_>) {
    let desktop = listen(&lab.vm1, "10.227.128.11:3389");
    let mut client = connect(&lab.onprem, "10.128.0.15:33890");
    let (mut accepted, seen) = accept(&desktop);
    assert_eq!(seen, client.local_addr().unwrap(), "the VM sees the real client");
    assert_eq!(seen.ip(), ONPREM.parse::<IpAddr>().unwrap());
    talk(&mut client, &mut accepted).unwrap();

    let flows = gateway.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["protocol"] == "tcp").unwrap();
    assert_eq!(flow["internal"], "10.227.128.11:3389");
    assert_eq!(flow["original_destination"], "10.128.0.15:33890");
    assert_eq!(flow["remote"], seen.to_string());
    assert_eq!((&flow["rule"], &flow["nat_rule"]), (&"rdp from on-prem".into(), &"rdp to app01".into()));
    assert_eq!(gateway.rule("rdp from on-prem").unwrap(), 1);

    // `log = true` of the rule. nftables writes to the kernel's log, which shows nothing of other namespaces.
    if Mode::of(gateway) == Mode::Nftables {
        return;
    }
    gateway.wait_log("rule \"rdp from on-prem\" accepted").unwrap();
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("rule \"rdp from on-prem\"")).unwrap();
    assert!(line.contains(&seen.to_string()) && line.contains("10.227.128.11:3389"), "{line}");
}

fn what_no_rule_allows_is_refused_and_counted_under_default(lab: &Lab, gateway: &Gateway<'_>) {
    let server = udp(&lab.vm1, "10.227.128.11:9");
    let client = udp(&lab.onprem, "10.10.0.10:9000");
    traffic::send(&client, "10.227.128.11:9", "let me in");
    wait_until(PATIENCE, "the refusal to be counted", || Ok(gateway.rule("default")? == 1)).unwrap();
    assert_eq!(gateway.reason("drop", "default-drop").unwrap(), 1);
    assert!(traffic::is_empty(&server));

    // The forwarded port is open for on-premises alone, of which the server beside the gateway is none.
    let desktop = listen(&lab.vm1, "10.227.128.11:3389");
    traffic::try_connect(&lab.pods, "10.128.0.15:33890", Duration::from_millis(1500)).expect_err("not from there");
    assert!(desktop.accept().is_err());
    assert!(gateway.rule("default").unwrap() > 1);
    assert!(traffic::is_silent(&lab.pods, VM2));
    assert!(gateway.flows().unwrap().is_empty(), "a refused packet leaves nothing behind");
}

fn vms_reach_each_other_through_the_gateway(lab: &Lab, gateway: &Gateway<'_>) {
    // Behind the switch they are neighbours; a host route sends them through the gateway, as isolated ports of a switch do.
    lab.vm1.ip(&format!("route add {VM2}/32 via {GATEWAY_OVERLAY}")).unwrap();
    lab.vm2.ip(&format!("route add {VM1}/32 via {GATEWAY_OVERLAY}")).unwrap();
    let server = udp(&lab.vm2, "10.227.128.12:7000");
    let client = udp(&lab.vm1, "10.227.128.11:7001");
    let seen = traffic::ask(&client, &server, "10.227.128.12:7000");
    assert_eq!(seen, endpoint("10.227.128.11:7001"), "no translation within the overlay");
    assert_eq!(gateway.rule("overlay to overlay").unwrap(), 1);
}
