//! "Did you mean": the known name nearest to the one that was written.

use std::fmt;

/// How many known names are worth listing when none is near.
const LISTED: usize = 12;

/// What could have been meant in place of an unknown name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// A known name one or two slips away.
    DidYouMean(String),
    /// No known name is near: these are all (or the first of) the known ones.
    Known(Vec<String>),
    /// Nothing of the kind is defined.
    NoneKnown,
}

impl Suggestion {
    /// Compares `written` with all `known` names.
    pub fn new<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        // A third of the letters may differ: `zone` finds `zones`, but `x` does not find `to`.
        let slips = |name: &str| strsim::damerau_levenshtein(written, name);
        let near = known
            .iter()
            .map(|name| (slips(name), *name))
            .filter(|(slips, name)| *slips <= (name.chars().count().max(written.chars().count()) / 3).clamp(1, 4))
            .min();
        match near {
            // Every other name is one slip away from a single letter.
            Some((_, name)) if written.chars().count() > 1 => Self::DidYouMean(name.to_owned()),
            _ if known.is_empty() => Self::NoneKnown,
            _ => Self::Known(known.into_iter().take(LISTED).map(str::to_owned).collect()),
        }
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DidYouMean(name) => write!(f, "did you mean `{name}`?"),
            Self::Known(names) => {
                f.write_str("write one of ")?;
                for (i, name) in names.iter().enumerate() {
                    write!(f, "{}`{name}`", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::NoneKnown => f.write_str("none is defined"),
        }
    }
}
