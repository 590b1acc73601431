//! What the policy translates on its way out of a leg, and what makes it translate all of it.

use crate::doctor::finding::Remedy;
use crate::doctor::scene::{Leg, Scene};
use crate::model::{Model, SourceNat, Translate, ZoneName};

/// True when everything that the policy lets out to the zone is translated: a source rule without conditions that could leave something
/// out. `None`: no policy, or no zone.
pub(super) fn translates_to(model: Option<&Model>, zone: Option<&ZoneName>) -> Option<bool> {
    let (model, zone) = (model?, zone?);
    let mut rules = rules_to(model, zone).peekable();
    Some(rules.peek().is_some() && rules.all(|rule| rule.translate != Translate::None))
}

/// What makes the policy translate all that leaves by the leg; `None` where it does.
pub(super) fn translate(scene: &Scene, leg: &Leg) -> Option<Remedy> {
    let (Some(model), Some(zone)) = (&scene.model, &leg.zone) else {
        let text = format!("[zones]\npods = [\"{}\"]\n\n{}", leg.name(), masquerade("masquerade", "pods"));
        return Some(Remedy::Policy { text });
    };
    if translates_to(Some(model), Some(zone)) == Some(true) {
        return None;
    }
    // The first match wins: a rule behind these would never be asked.
    let exempt: Vec<&SourceNat> = rules_to(model, zone).filter(|rule| rule.translate == Translate::None).collect();
    let text = if exempt.is_empty() {
        masquerade(&unused_name(model, &zone.0), &zone.0)
    } else {
        let change = |rule: &&SourceNat| {
            let name = &rule.name.0;
            format!("[[nat.source]]\nname = \"{name}\"    # as it is, but for:\ntranslate = \"masquerade\"    # instead of \"none\"\n")
        };
        exempt.iter().map(change).collect::<Vec<_>>().join("\n")
    };
    Some(Remedy::Policy { text })
}

fn rules_to<'a>(model: &'a Model, zone: &'a ZoneName) -> impl Iterator<Item = &'a SourceNat> {
    model.nat.source.iter().filter(move |rule| rule.to.as_ref().is_none_or(|to| to == zone))
}

fn masquerade(name: &str, zone: &str) -> String {
    format!("[[nat.source]]\nname = \"{name}\"\nto = \"{zone}\"\ntranslate = \"masquerade\"\n")
}

/// Names are unique among the rules of all lists.
fn unused_name(model: &Model, zone: &str) -> String {
    let sources = model.nat.source.iter().map(|rule| &rule.name.0);
    let destinations = model.nat.destination.iter().map(|rule| &rule.name.0);
    let taken: Vec<&String> = sources.chain(destinations).chain(model.firewall.rules.iter().map(|rule| &rule.name.0)).collect();
    let free = |name: &String| !taken.contains(&name);
    ["masquerade".to_owned(), format!("masquerade to {zone}")].into_iter().find(free).unwrap_or_else(|| {
        let mut number = 2;
        while !free(&format!("masquerade {number}")) {
            number += 1;
        }
        format!("masquerade {number}")
    })
}
