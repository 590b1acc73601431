use std::fmt::Write as _;

use super::{assert_findings, assert_whole};

#[test]
fn zones() {
    let zones = |n: usize| (0..n).fold(String::new(), |all, i| all + &format!("z{i} = [\"i{i}\"]\n"));
    assert_whole(&format!("version = 1\n[zones]\n{}", zones(254)), &[]);
    assert_whole(&format!("version = 1\n«[zones]»\n{}", zones(255)), &["too-many-zones"]);
}

#[test]
fn rules_count_once_per_range_of_ports() {
    let rules = |n: usize| {
        (0..n).fold(String::new(), |mut all, i| {
            let _ = write!(all, "[[firewall.rules]]\nname = \"r{i}\"\naction = \"drop\"\nprotocol = \"tcp\"\n");
            let _ = writeln!(all, "ports = [{}, {}]", 2 * i + 1, 2 * i + 2);
            all
        })
    };
    assert_findings(&format!("[firewall]\n{}", rules(512)), &[]);
    assert_findings(&format!("«[firewall]»\n{}", rules(513)), &["too-many-rules"]);
}

#[test]
fn address_sets() {
    let rules = |n: usize| {
        (0..n).fold(String::new(), |mut all, i| {
            let _ = write!(all, "[[firewall.rules]]\nname = \"r{i}\"\naction = \"drop\"\nsource = [\"10.0.{}.{}\"]\n", i / 250, i % 250);
            all
        })
    };
    assert_findings(&format!("[firewall]\n{}", rules(256)), &[]);
    assert_findings(&format!("«[firewall]»\n{}", rules(257)), &["too-many-sets"]);
}

#[test]
fn every_union_of_sets_that_a_rule_matches_counts() {
    // 24 sets, and rules that match pairs of them: far more lists than names.
    let policy = |n: usize| {
        let sets: String = (0..24).fold("[sets]\n".to_owned(), |all, i| all + &format!("s{i} = [\"10.{i}.0.0/16\"]\n"));
        let pairs = (0..24).flat_map(|a| (a + 1..24).map(move |b| (a, b))).take(n);
        pairs.fold(sets, |mut all, (a, b)| {
            let _ = write!(all, "[[firewall.rules]]\nname = \"r{a}-{b}\"\naction = \"drop\"\nsource = [\"@s{a}\", \"@s{b}\"]\n");
            all
        })
    };
    assert_findings(&policy(256), &[]);
    assert_findings(&policy(257).replace("[sets]", "«[sets]»"), &["too-many-sets"]);
}

#[test]
fn addresses_of_forwards_count_as_sets() {
    let policy = |n: usize| {
        (0..n).fold("[firewall]\n".to_owned(), |mut all, i| {
            let address = format!("203.0.{}.{}", i / 250, i % 250 + 1);
            let _ = write!(all, "[[nat.destination]]\nname = \"r{i}\"\nfrom = \"lan\"\nprotocol = \"tcp\"\nport = 80\n");
            let _ = writeln!(all, "address = \"{address}\"\nto = \"10.0.0.1\"");
            all
        })
    };
    assert_findings(&policy(256), &[]);
    assert_findings(&policy(257).replace("[firewall]", "«[firewall]»"), &["too-many-sets"]);
    // Without an address it is the zone's, whatever they are then.
    let zone = "[[nat.destination]]\nname = \"z\"\nfrom = \"lan\"\nprotocol = \"tcp\"\nport = 81\nto = \"10.0.0.1\"\n";
    assert_findings(&format!("{}{zone}", policy(255)), &[]);
    assert_findings(&format!("{}{zone}", policy(256)).replace("[firewall]", "«[firewall]»"), &["too-many-sets"]);
}

#[test]
fn prefixes_and_pools() {
    let members = |n: usize| {
        let all: Vec<String> = (0..n).map(|i| format!("\"10.{}.{}.0/24\"", i / 256, i % 256)).collect();
        all.join(",")
    };
    assert_findings(&format!("[sets]\na = [{}]\n", members(16_384)), &[]);
    assert_findings(&format!("«[sets]»\na = [{}]\n", members(16_385)), &["too-many-prefixes"]);
    let pool = |header: &str, last: &str| format!("{header}\nname = \"r\"\ntranslate = {{ addresses = [\"10.0.0.1-{last}\"] }}\n");
    assert_findings(&pool("[[nat.source]]", "10.0.4.0"), &[]);
    assert_findings(&pool("«[[nat.source]]»", "10.0.4.1"), &["pool-too-large"]);
}

#[test]
fn sets_in_sets() {
    let chain = |n: usize| {
        let mut all = "[sets]\ns0 = [\"10.0.0.0/8\"]\n".to_owned();
        for i in 1..n {
            let _ = writeln!(all, "s{i} = [\"@s{}\"]", i - 1);
        }
        all
    };
    assert_findings(&chain(16), &[]);
    assert_findings(&format!("{}«s16» = [\"@s15\"]\n", chain(16)), &["set-depth"]);
}

#[test]
fn nftables_mode_takes_more() {
    let rules = |n: usize| {
        (0..n).fold("[firewall]\n".to_owned(), |mut all, i| {
            let _ = write!(all, "[[firewall.rules]]\nname = \"r{i}\"\naction = \"drop\"\nsource = [\"10.{}.{}.0/24\"]\n", i / 250, i % 250);
            all
        })
    };
    let nftables = |text: &str| format!("[datapath]\nmode = \"nftables\"\n{text}");
    assert_findings(&rules(1025).replace("[firewall]", "««[firewall]»»"), &["too-many-rules", "too-many-sets"]);
    assert_findings(&nftables(&rules(1025)), &[]);
    let pool = |addresses: &str| nftables(&format!("[[nat.source]]\nname = \"r\"\ntranslate = {{ addresses = [{addresses}] }}\n"));
    assert_findings(&pool("\"10.0.0.1-10.255.255.254\""), &[]);
    let apart = pool("\"10.0.0.0-10.0.255.255\", \"10.2.0.1\"");
    assert_findings(&apart.replace("[[nat.source]]", "«[[nat.source]]»"), &["pool-too-large"]);
}

#[test]
fn rules_of_all_lists_count_in_nftables_mode() {
    let sixty_thousand = (0..60_000).fold("[firewall]\n".to_owned(), |mut all, i| {
        let _ = write!(all, "[[firewall.rules]]\nname = \"r{i}\"\naction = \"drop\"\nprotocol = \"tcp\"\nports = [{}]\n", i + 1);
        all
    });
    let one_more = "[[nat.source]]\nname = \"one more\"\ntranslate = \"none\"\n";
    let text = format!("datapath.mode = \"nftables\"\n{one_more}{sixty_thousand}").replace("[firewall]", "«[firewall]»");
    assert_findings(&text, &["too-many-rules"]);
}
