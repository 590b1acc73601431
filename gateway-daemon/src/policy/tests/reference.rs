use super::{assert_findings, assert_whole, report};

#[test]
fn zones() {
    let rule = |line: &str| format!("[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\n{line}\n");
    assert_findings(&rule("from = «\"lam\"»\nto = «\"dmz\"»"), &["unknown-zone"; 2]);
    assert_findings("[[nat.source]]\nname = \"r\"\nto = «\"van\"»\ntranslate = \"none\"\n", &["unknown-zone"]);
    assert_findings("zones.«self» = [\"eth0\"]\n", &["reserved-zone"]);
    assert_findings("zones.dmz = [«\"lan0\"», \"dmz0\", «\"dmz0\"»]\n", &["interface-in-two-zones"; 2]);
    assert_whole("«»version = 1\n", &["no-zones"]);
}

#[test]
fn a_zone_with_errors_is_still_a_zone() {
    let rule = "[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\nfrom = \"dmz\"\n";
    assert_findings(&format!("zones.dmz = [«1»]\n{rule}"), &["wrong-type"]);
}

#[test]
fn the_nearest_zone_is_suggested() {
    let text = "version = 1\nzones.overlay = [\"eth0\"]\n[[firewall.rules]]\nname = \"r\"\naction = \"drop\"\nfrom = \"overlya\"\n";
    assert_eq!(report(text).diagnostics()[0].help_text(), "zones are defined in `[zones]`: did you mean `overlay`?");
}

#[test]
fn sets() {
    let rule = "[[firewall.rules]]\nname = \"r\"\naction = \"accept\"\n";
    assert_findings(&format!("{rule}source = [«\"@nobody\"»]\n"), &["unknown-set"]);
    assert_findings("[sets]\na = [\"10.0.0.0/8\", «\"@b\"»]\n", &["unknown-set"]);
    assert_findings("[sets]\n«a» = [\"@b\"]\n«b» = [\"@a\"]\nc = [\"@a\", \"10.0.0.0/8\"]\n", &["set-cycle"; 2]);
    assert_findings("[sets]\n«a» = [\"@a\"]\n", &["set-cycle"]);
}

#[test]
fn interfaces() {
    assert_findings("[interfaces.«eth9»]\nmtu = 1400\n", &["interface-without-zone"]);
    assert_findings("[[routes]]\nto = \"10.0.0.0/8\"\ninterface = «\"eth9\"»\n", &["route-without-zone"]);
    assert_findings("interfaces.lan0.addresses = [\"10.0.0.1/24\"]\ninterfaces.wan0.addresses = [«\"10.0.0.1/16\"»]\n", &["address-twice"]);
}

#[test]
fn rule_names_are_unique_over_all_lists() {
    assert_findings(
        "[[nat.source]]\nname = \"out\"\ntranslate = \"none\"\n[[firewall.rules]]\nname = «\"out\"»\naction = \"drop\"\n",
        &["duplicate-rule-name"],
    );
}
