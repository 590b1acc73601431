use super::{assert_findings, assert_whole, report};

#[test]
fn what_is_not_toml() {
    assert_findings("[firewall]\ndefault = «drop»\n", &["syntax"]);
    assert_findings("[firewall]\ndefault = \"drop\"\n«default» = \"drop\"\n", &["duplicate-key"]);
    assert_findings("[firewall]\n[«firewall»]\n", &["duplicate-key"]);
}

#[test]
fn a_syntax_error_hides_no_other_error_and_makes_none_up() {
    assert_findings("datapath.«mod» = \"tc\"\n[firewall]\ndefault = \"drop\"\n«default» = \"drop\"\n", &["unknown-key", "duplicate-key"]);
    // The zone `dmz` is lost in the broken line: that a rule names it is no second error.
    let rule = "[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\nfrom = \"dmz\"\n";
    assert_findings(&format!("zones.dmz «»[\"dmz0\"]\n{rule}"), &["syntax"]);
}

#[test]
fn an_open_list_is_one_error() {
    let rest = "zones.dmz = [\"dmz0\"]\n[firewall]\n«defalt» = \"drop\"\nrules = [\n  { name = \"r\", action = «\"acept\"» },\n]\n";
    assert_findings(&format!("sets.a = [\"10.0.0.1\"«»\n{rest}"), &["syntax", "unknown-key", "choice"]);
    assert_findings(&format!("sets.a = [\"10.0.0.1\",\n  \"10.0.0.2\",«»\n\n{rest}"), &["syntax", "unknown-key", "choice"]);
    assert_findings(&format!("sets = {{ a = [\"10.0.0.1\"]«»\n{rest}"), &["syntax", "unknown-key", "choice"]);
}

#[test]
fn an_open_string_is_named_as_such() {
    let report = report(&format!("{}zones.dmz = [\"dmz0]\n[firewall]\n", super::BASE));
    assert_eq!(report.errors().count(), 1, "{report}");
    assert!(report.to_string().contains("string"), "{report}");
}

#[test]
fn version() {
    assert_whole("«»zones.lan = [\"lan0\"]\n", &["missing-key"]);
    assert_whole("version = «2»\nzones.lan = [\"lan0\"]\n", &["version"]);
    assert_whole("version = «\"1\"»\nzones.lan = [\"lan0\"]\n", &["wrong-type"]);
    assert_whole("version = 0x1\nzones.lan = [\"lan0\"]\n", &[]);
}

#[test]
fn an_empty_file_points_at_its_first_line() {
    assert_whole("«»«»", &["missing-key", "no-zones"]);
    assert_whole("«»«»\n\n\n", &["missing-key", "no-zones"]);
}

#[test]
fn unknown_keys_in_every_table() {
    let key = &["unknown-key"];
    assert_findings("«fierwall» = 1\n", key);
    assert_findings("[«fierwall»]\ndefault = \"drop\"\n", key);
    assert_findings("[datapath]\n«mod» = \"tc\"\n", key);
    assert_findings("[interfaces.lan0]\n«adresses» = [\"10.0.0.1/24\"]\n", key);
    assert_findings("[[routes]]\nto = \"10.0.0.0/8\"\nvia = \"10.0.0.1\"\n«dev» = \"lan0\"\n", key);
    assert_findings("[nat]\n«sorce» = []\n", key);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = \"none\"\n«mappings» = 1\n", key);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = { addresses = [\"203.0.113.1\"], «port» = \"1024-2000\" }\n", key);
    assert_findings(
        "[[nat.destination]]\nname = \"r\"\nfrom = \"wan\"\nprotocol = \"tcp\"\nport = 1\nto = \"10.0.0.1\"\n«adress» = 1\n",
        key,
    );
    assert_findings("[firewall]\n«defalt» = \"drop\"\n", key);
    assert_findings("[[firewall.rules]]\nname = \"r\"\naction = \"drop\"\n«form» = \"lan\"\n", key);
    assert_findings("[timeouts]\n«tcp» = \"3h\"\n", key);
}

#[test]
fn the_nearest_key_is_suggested() {
    let report = report("version = 1\nzones.lan = [\"lan0\"]\n[firewall]\ndefalt = \"drop\"\n");
    assert_eq!(report.diagnostics()[0].help_text(), "did you mean `default`?");
}

#[test]
fn missing_keys_point_at_the_header() {
    let twice = &["missing-key", "missing-key"];
    assert_findings("«[[firewall.rules]]»\nname = \"r\"\n", &["missing-key"]);
    assert_findings("««[[firewall.rules]]»»\nlog = true\n", twice);
    assert_findings("««[[nat.source]]»»\nto = \"wan\"\n", twice);
    assert_findings("««««[[nat.destination]]»»»»\nname = \"r\"\n", &["missing-key", "missing-key", "missing-key", "missing-key"]);
    assert_findings("«[[routes]]»\ninterface = \"lan0\"\n", &["missing-key"]);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = «{ ports = \"1024-2000\" }»\n", &["missing-key"]);
}

#[test]
fn wrong_types() {
    let kind = &["wrong-type"];
    assert_findings("datapath = «1»\n", kind);
    assert_findings("interfaces.lan0 = «\"10.0.0.1/24\"»\n", kind);
    assert_findings("routes = «{ to = \"10.0.0.0/8\" }»\n", kind);
    assert_findings("routes = [«1»]\n", kind);
    assert_findings("[datapath]\nmode = «true»\nflows = «\"many\"»\n", &["wrong-type", "wrong-type"]);
    assert_findings("[interfaces.lan0]\nmtu = «1400.5»\n", kind);
    assert_findings("[sets]\na = «\"10.0.0.0/8\"»\nb = [«1»]\n", &["wrong-type", "wrong-type"]);
    assert_findings("zones.dmz = «{ a = 1 }»\n", kind);
}

#[test]
fn wrong_types_in_rules() {
    let rule = |line: &str| format!("[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\n{line}\n");
    for line in ["from = «[\"lan\"]»", "source = «\"10.0.0.0/8\"»", "protocol = «[\"tcp\"]»", "log = «\"yes\"»", "rate = «10»"] {
        assert_findings(&rule(line), &["wrong-type"]);
    }
    assert_findings(&rule("protocol = \"tcp\"\nports = «\"443\"»"), &["wrong-type"]);
    assert_findings(&rule("protocol = \"icmp\"\nicmp-type = «\"echo\"»"), &["wrong-type"]);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = «true»\n", &["wrong-type"]);
    assert_findings("[timeouts]\nudp = «300»\n", &["wrong-type"]);
}

#[test]
fn empty_lists() {
    let empty = &["empty-list"];
    assert_findings("zones.dmz = «[]»\n", empty);
    assert_findings("[sets]\na = «[]»\n", empty);
    assert_findings("[interfaces.lan0]\naddresses = «[]»\n", empty);
    assert_findings("[[firewall.rules]]\nname = \"r\"\naction = \"drop\"\nsource = «[]»\n", empty);
    assert_findings("[[firewall.rules]]\nname = \"r\"\naction = \"drop\"\nprotocol = \"tcp\"\nports = «[]»\n", empty);
    assert_findings("[[nat.source]]\nname = \"r\"\ntranslate = { addresses = «[]» }\n", empty);
}
