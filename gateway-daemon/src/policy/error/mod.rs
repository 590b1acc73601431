//! Every way in which a policy can be wrong, one variant per kind.
//!
//! `Display` says what is wrong, miette's `help` what to write instead, and `code` is the stable name that scripts may rely on.

mod limit;
mod reference;
mod rule;
mod shape;
mod suggestion;
mod unsupported;
mod value;
mod warning;

pub use limit::LimitError;
pub use reference::ReferenceError;
pub use rule::RuleError;
pub use shape::ShapeError;
pub use suggestion::Suggestion;
pub use unsupported::UnsupportedError;
pub use value::ValueError;
pub use warning::Warning;

/// Something wrong, or suspicious, at one place of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum PolicyError {
    /// Not TOML, or not these keys and types.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Shape(#[from] ShapeError),
    /// A value that says nothing sensible.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Value(#[from] ValueError),
    /// A name that refers to nothing, or to two things.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reference(#[from] ReferenceError),
    /// Values that do not go together.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Rule(#[from] RuleError),
    /// More than the datapath's tables hold.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Limit(#[from] LimitError),
    /// Known and meant, but this version cannot do it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unsupported(#[from] UnsupportedError),
    /// Legal but suspicious.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Warning(#[from] Warning),
}

impl PolicyError {
    /// True for what leaves the policy valid.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Warning(_))
    }

    /// True when the finding depends on nothing but its own line, so that it holds although other lines could not be parsed.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Shape(ShapeError::MissingKey(..)) => false,
            Self::Shape(_) | Self::Value(_) | Self::Unsupported(_) => true,
            Self::Reference(_) | Self::Rule(_) | Self::Limit(_) | Self::Warning(_) => false,
        }
    }
}
