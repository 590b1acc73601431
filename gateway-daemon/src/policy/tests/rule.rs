use super::assert_findings;

fn rule(name: &str, lines: &str) -> String {
    format!("[[firewall.rules]]\nname = {name}\n{lines}\n")
}

fn accept(lines: &str) -> String {
    rule("\"r\"", &format!("action = \"accept\"\n{lines}"))
}

fn forward(name: &str, lines: &str) -> String {
    format!("[[nat.destination]]\nname = {name}\nfrom = \"wan\"\nto = \"10.0.0.1:80\"\n{lines}\n")
}

#[test]
fn the_gateway_itself() {
    assert_findings(&accept("from = «\"self\"»"), &["from-self"]);
    assert_findings(&accept("to = \"self\""), &[]);
    assert_findings("[[nat.source]]\nname = \"r\"\nfrom = «\"self\"»\nto = «\"self\"»\ntranslate = \"masquerade\"\n", &["nat-self"; 2]);
    let forward = "[[nat.destination]]\nname = \"r\"\nfrom = «\"self\"»\nprotocol = \"tcp\"\nport = 1\nto = \"10.0.0.1\"\n";
    assert_findings(forward, &["nat-self"]);
}

#[test]
fn families() {
    assert_findings(&accept("source = [\"10.0.0.0/8\"]\ndestination = «[\"2001:db8::/32\"]»"), &["mixed-families"]);
    assert_findings(&accept("source = [\"10.0.0.0/8\", \"::/0\"]\ndestination = [\"2001:db8::/32\"]"), &[]);
    assert_findings("[[routes]]\nto = \"10.0.0.0/8\"\nvia = «\"fe80::1\"»\n", &["route-family"]);
    assert_findings("[[routes]]\nto = \"::/0\"\nvia = \"fe80::1\"\nsource = «\"10.0.0.0/8\"»\n", &["route-family"]);
    assert_findings("[interfaces.lan0]\naddresses = [\"2001:db8::1/64\"]\nmtu = «1279»\n", &["mtu-ipv6"]);
}

#[test]
fn protocols_and_ports() {
    assert_findings(&accept("ports = «[443]»"), &["ports-without-protocol"]);
    assert_findings(&accept("protocol = \"icmp\"\nports = «[443]»"), &["ports-with-icmp"]);
    assert_findings(&accept("icmp-type = «8»"), &["icmp-type-without-icmp"]);
    assert_findings(&accept("protocol = \"tcp\"\nicmp-type = «8»"), &["icmp-type-without-icmp"]);
    assert_findings(&rule("\"r\"", "action = \"drop\"\nrate = «\"10/second\"»"), &["rate-without-accept"]);
    assert_findings(&forward("\"f\"", "protocol = «\"icmp\"»\nport = 1"), &["forward-protocol"]);
    assert_findings(&forward("\"f\"", "protocol = \"tcp\"\nport = 1\nports = «\"1-2\"»"), &["port-and-ports"]);
    let overflow = "[[nat.destination]]\nname = \"f\"\nfrom = \"wan\"\nprotocol = \"tcp\"\nports = \"1-100\"\nto = «\"10.0.0.1:65500\"»\n";
    assert_findings(overflow, &["forward-overflow"]);
}

#[test]
fn forwards_that_overlap() {
    let both = |first: &str, second: &str| format!("{}{}", forward("\"a\"", first), forward("«\"b\"»", second));
    let fine = |first: &str, second: &str| format!("{}{}", forward("\"a\"", first), forward("\"b\"", second));
    let overlap = &["forward-overlap"];
    assert_findings(&both("protocol = \"tcp\"\nport = 80", "protocol = \"tcp\"\nport = 80"), overlap);
    assert_findings(&both("protocol = \"tcp\"\nports = \"80-90\"", "protocol = \"tcp\"\nports = \"90-99\""), overlap);
    assert_findings(&both("protocol = \"tcp\"\nport = 80", "protocol = \"tcp\"\nport = 80\nsource = [\"10.0.0.0/8\"]"), overlap);
    assert_findings(&fine("protocol = \"tcp\"\nport = 80\nsource = [\"10.0.0.0/8\"]", "protocol = \"tcp\"\nport = 80"), &[]);
    assert_findings(&fine("protocol = \"tcp\"\nport = 80", "protocol = \"udp\"\nport = 80"), &[]);
    let own = "protocol = \"tcp\"\nport = 80\naddress = \"203.0.113.1\"";
    assert_findings(&fine("protocol = \"tcp\"\nport = 80", own), &[]);
    let known = "interfaces.wan0.addresses = [\"203.0.113.1/24\"]\n";
    assert_findings(&format!("{known}{}", both("protocol = \"tcp\"\nport = 80", own)), overlap);
}

#[test]
fn routes_and_quota() {
    assert_findings("«[[routes]]»\nto = \"10.0.0.0/8\"\n", &["route-without-hop"]);
    assert_findings("[[routes]]\nto = \"::/0\"\nvia = \"fe80::1\"\n«[[routes]]»\nto = \"::/0\"\nvia = \"fe80::2\"\n", &["duplicate-route"]);
    assert_findings("[datapath]\nflows = 1000\nflows-per-host = «1001»\n", &["flows-per-host"]);
}

#[test]
fn unreachable_firewall_rules() {
    let two = |first: &str, second: &str| format!("{}{}", rule("\"a\"", first), rule("«\"b\"»", second));
    let fine = |first: &str, second: &str| format!("{}{}", rule("\"a\"", first), rule("\"b\"", second));
    let (accept, drop) = ("action = \"accept\"\n", "action = \"drop\"\n");
    let with = |action: &str, lines: &str| format!("{action}{lines}");
    assert_findings(&two(drop, &with(accept, "from = \"lan\"")), &["unreachable"]);
    assert_findings(&two(accept, &with(accept, "log = true")), &["redundant"]);
    let wide = with(drop, "source = [\"10.0.0.0/9\", \"10.128.0.0/9\"]\nprotocol = \"tcp\"\nports = [\"1-80\", \"81-99\"]");
    let narrow = with(accept, "source = [\"10.0.0.0/8\"]\nprotocol = \"tcp\"\nports = [\"70-90\"]");
    assert_findings(&two(&wide, &narrow), &["unreachable"]);
    assert_findings(&fine(&wide, &with(accept, "source = [\"10.0.0.0/8\"]\nprotocol = \"tcp\"")), &[]);
    assert_findings(&fine(&wide, &with(accept, "source = [\"10.0.0.0/7\"]\nprotocol = \"tcp\"\nports = [80]")), &[]);
    assert_findings(&fine(&with(drop, "from = \"lan\""), &with(accept, "from = \"wan\"")), &[]);
    // "Any zone" is not taken to mean the gateway itself.
    assert_findings(&fine(&with(drop, "from = \"lan\""), &with(accept, "from = \"lan\"\nto = \"self\"")), &[]);
}

#[test]
fn unreachable_source_nat() {
    let nat = |name: &str, lines: &str| format!("[[nat.source]]\nname = {name}\n{lines}\n");
    let all = nat("\"a\"", "to = \"wan\"\ntranslate = \"masquerade\"");
    let exempt = nat("«\"b\"»", "to = \"wan\"\ndestination = [\"10.0.0.0/8\"]\ntranslate = \"none\"");
    assert_findings(&format!("{all}{exempt}"), &["unreachable"]);
    let again = nat("«\"b\"»", "to = \"wan\"\nfrom = \"lan\"\ntranslate = \"masquerade\"");
    assert_findings(&format!("{all}{again}"), &["redundant"]);
}
