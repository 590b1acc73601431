//! The policies in ConfigMaps.

use gateway_daemon::model::Model;
use gateway_daemon::policy;

use crate::documents::{Manifest, topologies};

/// The policy of a manifest that has a gateway.
pub fn policy(manifest: &Manifest) -> Model {
    let texts: Vec<&str> = manifest.of_kind("ConfigMap").map(|map| map["data"]["policy.toml"].as_str().expect("no policy.toml")).collect();
    let [text] = texts[..] else { panic!("{}: {} policies", manifest.name, texts.len()) };
    let checked = policy::load(&manifest.name, text).unwrap_or_else(|report| panic!("{}", report.render(false, 100)));
    assert!(checked.warnings.is_empty(), "{}", policy::render(&checked.warnings, false, 100));
    checked.model
}

#[test]
fn every_policy_is_valid_and_gives_no_warning() {
    for manifest in topologies() {
        assert!(!policy(&manifest).firewall.rules.is_empty(), "{}", manifest.name);
    }
}

#[test]
#[should_panic(expected = "masquerade")]
fn an_error_in_a_policy_is_found() {
    let manifest = topologies().remove(0);
    policy(&Manifest::new("planted", manifest.text.replace("translate = \"masquerade\"", "translate = \"masquerad\"")));
}
