//! Not TOML, or not the policy's keys and types.

use super::Suggestion;

/// The text does not have the form of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ShapeError {
    /// Not TOML; the parser's words.
    #[error("not TOML: {0}")]
    #[diagnostic(code("syntax"), help("write `key = value`, strings in double quotes, lists in `[ ]`, tables as `[name]`"))]
    Syntax(String),
    /// TOML allows each key and table once.
    #[error("this key or table is written twice")]
    #[diagnostic(code("duplicate-key"), help("keep one of the two; a further rule starts with its own `[[...]]` header"))]
    DuplicateKey,
    /// Key, where it stands, what could be meant.
    #[error("unknown key `{0}` in {1}")]
    #[diagnostic(code("unknown-key"), help("{2}"))]
    UnknownKey(String, String, Suggestion),
    /// Key, where it is missing, an example.
    #[error("`{0}` is missing in {1}")]
    #[diagnostic(code("missing-key"), help("add `{0} = {2}`"))]
    MissingKey(&'static str, String, &'static str),
    /// Key, what it must be, what was found, an example.
    #[error("`{0}` must be {1}, not {2}")]
    #[diagnostic(code("wrong-type"), help("write for example `{0} = {3}`"))]
    WrongType(String, &'static str, &'static str, &'static str),
    /// Name and form of a table that is written as something else, what was found, its header.
    #[error("`{0}` must be {1}, not {2}")]
    #[diagnostic(code("wrong-type"), help("write `{3}` on a line of its own, and its keys below"))]
    NotATable(String, &'static str, &'static str, String),
    /// The version that was found.
    #[error("version {0} is not known to this gateway")]
    #[diagnostic(code("version"), help("write `version = 1`"))]
    Version(String),
    /// Key, an example.
    #[error("`{0}` is an empty list")]
    #[diagnostic(code("empty-list"), help("write for example `{0} = {1}`, or leave the key out"))]
    EmptyList(String, &'static str),
}
