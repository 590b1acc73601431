//! What `--only` makes of names.

use std::str::FromStr;

use crate::choice::{Choice, NothingLeft, Only, Part};
use crate::subject::Subject;

fn only(words: &str, full: bool) -> Result<Choice, NothingLeft> {
    let words: Vec<Only> = words.split_whitespace().map(|word| Only::from_str(word).unwrap()).collect();
    Choice::of(&words, full)
}

fn names(choice: &Choice) -> Vec<String> {
    choice.workloads.iter().map(ToString::to_string).collect()
}

fn lacks(choice: &Choice) -> Vec<&str> {
    choice.missing.iter().map(|lack| &*lack.what).collect()
}

#[test]
fn without_a_word_everything_is_measured() {
    for full in [false, true] {
        let choice = only("", full).unwrap();
        assert_eq!(choice.parts, Part::ALL);
        assert_eq!(choice.subjects, Subject::ALL);
        assert!(choice.missing.is_empty());
        assert_eq!(choice.extent, if full { "full" } else { "quick" });
    }
    assert!(only("", true).unwrap().workloads.len() > only("", false).unwrap().workloads.len());
}

#[test]
fn words_of_one_kind_add_up() {
    let choice = only("tcp packets nftables gateway-xdp", false).unwrap();
    assert_eq!(choice.parts, [Part::Packets, Part::Tcp]);
    assert_eq!(choice.subjects, [Subject::Nftables, Subject::Xdp]);
    assert_eq!(choice.extent, "quick, only tcp packets nftables gateway-xdp");
    assert_eq!(names(&only("v4-snat-64-1k v6-plain-1514-1m", false).unwrap()), ["v4-snat-64-1k", "v6-plain-1514-1m"]);
}

#[test]
fn a_workload_means_the_part_that_sends_it() {
    let choice = only("v4-snat-64-1k", true).unwrap();
    assert_eq!(choice.parts, [Part::Packets]);
    // Nobody has asked for the others.
    assert!(choice.missing.is_empty());
}

#[test]
fn words_of_different_kinds_narrow_each_other_down() {
    let error = only("tcp v4-snat-64-1k", false).unwrap_err().to_string();
    assert!(error.contains("leaves nothing to measure: tcp: a workload was named"), "{error}");
    let choice = only("tcp packets v4-snat-64-1k", false).unwrap();
    assert_eq!(choice.parts, [Part::Packets]);
    assert_eq!(lacks(&choice), ["tcp"]);
}

#[test]
fn what_cannot_be_measured_together_is_refused_and_the_refusal_helps() {
    let pairs = ["rules kernel-routing", "footprint nftables", "tcp xdp-redirect", "establish kernel-routing"];
    for pair in pairs {
        let (part, subject) = pair.split_once(' ').unwrap();
        let error = only(pair, false).unwrap_err().to_string();
        assert!(error.contains(&format!("{part} of {subject}: the part {part} is measured of")), "{error}");
        assert!(error.contains("Names that go together: packets with every subject and every workload"), "{error}");
    }
    assert!(only("einat v6-plain-64-1k", false).unwrap_err().to_string().contains("v6-plain-64-1k: einat: it masquerades IPv4"));
}

#[test]
fn what_is_left_out_is_listed() {
    let choice = only("rules footprint nftables gateway-xdp", false).unwrap();
    assert_eq!(choice.parts, [Part::Rules, Part::Footprint]);
    assert_eq!(lacks(&choice), ["footprint of nftables"]);
    // Without a part all are meant.
    let choice = only("einat", false).unwrap();
    assert_eq!(choice.parts, [Part::Packets, Part::Tcp, Part::Establish]);
    assert_eq!(lacks(&choice), ["rules of einat", "footprint of einat"]);
    // Workloads that the only subject does not carry.
    let choice = only("packets einat", true).unwrap();
    assert!(names(&choice).iter().all(|name| name.starts_with("v4-snat")) && lacks(&choice).contains(&"v6-plain-64-1k"));
}

#[test]
fn a_misspelt_name_is_answered_with_all_names() {
    let error = Only::from_str("gateway-xpd").unwrap_err().to_string();
    for name in ["nothing is named gateway-xpd", "footprint", "gateway-xdp", "v6-plain-1514-1m"] {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_word_survives_its_way_to_the_bench() {
    for word in ["establish", "nftables-flowtable", "v4-forward-1514-100k"] {
        assert_eq!(Only::from_str(word).unwrap().to_string(), word);
    }
}
