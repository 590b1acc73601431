use super::assert_findings;

fn source(text: &str) -> String {
    format!("[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\nsource = [{text}]\n")
}

#[test]
fn prefixes() {
    assert_findings(&source("\"10.0.0.1\", «\"10.0.0.256\"», «\"lan\"»"), &["prefix", "prefix"]);
    assert_findings(&source("«\"10.0.0.0/33\"»"), &["prefix"]);
    assert_findings(&source("«\"10.1.2.3/16\"», «\"2001:db8::1/32\"»"), &["host-bits", "host-bits"]);
    assert_findings("[sets]\na = [«\"10.1.2.3/8\"»]\n", &["host-bits"]);
    assert_findings("[[routes]]\nto = «\"10.0.0.1/8\"»\nvia = \"10.0.0.1\"\n", &["host-bits"]);
    assert_findings("[[routes]]\nto = «\"default\"»\nvia = \"10.0.0.1\"\n", &["prefix"]);
}

#[test]
fn host_bits_say_which_prefix_was_meant() {
    let report = super::report(&format!("{}{}", super::BASE, source("\"10.1.2.3/16\"")));
    assert_eq!(report.diagnostics()[0].help_text(), "write `10.1.0.0/16` for the whole prefix, or `10.1.2.3` for the one address");
}

#[test]
fn interface_addresses() {
    let interface = |text: &str| format!("[interfaces.lan0]\naddresses = [{text}]\n");
    assert_findings(&interface("\"10.0.0.1/24\", \"10.0.1.0/31\", \"2001:db8::1/64\""), &[]);
    assert_findings(&interface("«\"10.0.0.1\"»"), &["prefix-length"]);
    assert_findings(&interface("«\"gateway\"»"), &["interface-address"]);
    assert_findings(&interface("«\"10.0.0.0/24\"»"), &["network-address"]);
    assert_findings(&interface("«\"10.0.0.255/24\"», «\"127.0.0.1/8\"», «\"ff02::1/64\"»"), &["not-a-host"; 3]);
    assert_findings("[interfaces.lan0]\nmtu = «67»\n", &["range"]);
    assert_findings("[interfaces.lan0]\nmtu = «99999999999999999999999»\n", &["range"]);
    assert_findings("[interfaces.lan0]\nmtu = «-1»\n", &["range"]);
    assert_findings("[interfaces.lan0]\nsource-validation = «\"lose\"»\n", &["choice"]);
    assert_findings("[interfaces.lan0]\ndatapath = «\"ebpf\"»\n", &["choice"]);
}

#[test]
fn ports() {
    let rule = |text: &str| format!("[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\nprotocol = \"tcp\"\nports = [{text}]\n");
    assert_findings(&rule("1, \"65535\", \"80-90\""), &[]);
    assert_findings(&rule("«\"https\"», «\"80-\"», «\"+80\"», «\"0\"», «\"70000\"»"), &["port"; 5]);
    assert_findings(&rule("«0», «65536»"), &["range"; 2]);
    assert_findings(&rule("«\"90-80\"»"), &["port-order"]);
}

#[test]
fn rates_choices_and_icmp() {
    let rule = |text: &str| format!("[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\n{text}\n");
    for rate in ["10", "10/day", "0/second", "-1/second", "/second", "99999999999/second"] {
        assert_findings(&rule(&format!("rate = «\"{rate}\"»")), &["rate"]);
    }
    assert_findings(&rule("protocol = «\"sctp\"»"), &["choice"]);
    assert_findings(&rule("protocol = «\"icmpv6\"»"), &["icmp-name"]);
    assert_findings(&rule("protocol = \"icmp\"\nicmp-type = «256»"), &["range"]);
    assert_findings("[[firewall.rules]]\nname = \"r\"\naction = «\"acept\"»\n", &["choice"]);
    assert_findings("[firewall]\ndefault = «\"deny\"»\n", &["choice"]);
}

#[test]
fn names() {
    assert_findings("zones.«\"\"» = [\"eth0\"]\n", &["name"]);
    assert_findings("[sets]\n«\"a b\"» = [\"10.0.0.0/8\"]\n", &["name"]);
    assert_findings("zones.dmz = [«\"a-name-too-long0\"», «\"a/b\"», «\"\"», «'a\"b'», «\"eth*\"»]\n", &["interface-name"; 5]);
    assert_findings("[interfaces.«\"a b\"»]\n", &["interface-name"]);
    assert_findings("[[firewall.rules]]\nname = «\" r\"»\naction = \"drop\"\n", &["rule-name"]);
}

#[test]
fn datapath_numbers() {
    assert_findings("[datapath]\nflows = «63»\n", &["range"]);
    assert_findings("[datapath]\nflows = «4194305»\n", &["range"]);
    assert_findings("[datapath]\nflows-per-host = «0»\n", &["range"]);
    assert_findings("[datapath]\nflows = 64\n", &[]);
}

#[test]
fn timeouts() {
    assert_findings("[timeouts]\nudp = «\"5 parsecs\"»\n", &["duration"]);
    assert_findings("[timeouts]\nudp = «\"\"»\n", &["duration"]);
    assert_findings("[timeouts]\nudp = «\"10ms\"»\nicmp = «\"1y\"»\n", &["duration-range"; 2]);
    let below = "[timeouts]\ntcp-established = «\"1h\"»\ntcp-opening = «\"1m\"»\ntcp-closing = «\"1m\"»\n\
                 udp = «\"1m\"»\nicmp = «\"30s\"»\n";
    assert_findings(below, &["timeout-below-rfc"; 5]);
}

#[test]
fn pools() {
    let pool = |addresses: &str, rest: &str| format!("[[nat.source]]\nname = \"r\"\ntranslate = {{ addresses = [{addresses}]{rest} }}\n");
    assert_findings(&pool("\"203.0.113.1\"", ", ports = «\"1-2000\"»"), &["pool-ports"]);
    assert_findings(&pool("«\"203.0.113.1-\"», «\"wan0\"», «\"203.0.113.0/40\"»", ""), &["pool-range"; 3]);
    assert_findings(&pool("«\"203.0.113.9-203.0.113.1\"»", ""), &["pool-order"]);
    assert_findings(&pool("«\"203.0.113.9/24\"»", ""), &["host-bits"]);
    assert_findings(&pool("«\"127.0.0.1\"», «\"0.0.0.0/0\"»", ""), &["not-a-host"; 2]);
    assert_findings(&pool("\"203.0.113.1-203.0.113.9\", «\"203.0.113.9\"»", ""), &["pool-overlap"]);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = «\"masquerad\"»\n", &["choice"]);
}

#[test]
fn port_forward_servers() {
    let to = |to: &str| format!("[[nat.destination]]\nname = \"r\"\nfrom = \"wan\"\nprotocol = \"tcp\"\nport = 1\nto = {to}\n");
    assert_findings(&to("\"10.0.0.1\""), &[]);
    for bad in ["10.0.0.1:0", "10.0.0.1:", "app01:80", "10.0.0.1:70000"] {
        assert_findings(&to(&format!("«\"{bad}\"»")), &["endpoint"]);
    }
    assert_findings(&to("«\"224.0.0.1:80\"»"), &["not-a-host"]);
    assert_findings(&format!("{}address = «\"10.0.0.0/8\"»\n", to("\"10.0.0.1\"")), &["address"]);
}

#[test]
fn what_is_not_supported_yet_is_refused() {
    assert_findings("[datapath]\nmode = \"nftables\"\n[interfaces.lan0]\ndatapath = \"auto\"\n", &[]);
    assert_findings("[interfaces.lan0]\ndatapath = «\"nftables\"»\n", &["interface-nftables"]);
    assert_findings("[interfaces.lan0]\ndatapath = «\"nftable\"»\n", &["choice"]);
    let under = "[datapath]\nmode = \"nftables\"\n[interfaces]\nlan0.datapath = «\"tc\"»\nwan0.datapath = «\"xdp\"»\n";
    assert_findings(under, &["interface-under-nftables", "interface-under-nftables"]);
    assert_findings("«[[nat.static]]»\nname = \"r\"\n«[[nat.static]]»\nname = \"s\"\n", &["unsupported-static-nat"; 2]);
    let v6 = "unsupported-ipv6-nat";
    assert_findings(
        "sets.six = [\"2001:db8::/32\"]\n[[nat.source]]\nname = \"r\"\nsource = [«\"@six\"», «\"2001:db8::1\"»]\n\
         translate = { addresses = [«\"2001:db8::2\"»] }\n",
        &[v6; 3],
    );
    assert_findings(
        "[[nat.destination]]\nname = \"r\"\nfrom = \"wan\"\naddress = «\"2001:db8::1\"»\nprotocol = \"tcp\"\nport = 1\n\
         to = «\"[2001:db8::2]:80\"»\n",
        &[v6; 2],
    );
    let both = "sets.both = [\"2001:db8::/32\", \"10.0.0.0/8\"]\n[[nat.source]]\nname = \"r\"\nsource = [\"@both\"]\n\
                translate = \"masquerade\"\n";
    assert_findings(both, &[]);
}
