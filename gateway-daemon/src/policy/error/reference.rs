//! Names that refer to nothing, or to two things.

use ipnet::IpNet;

use super::Suggestion;

/// A reference that cannot be followed, or a definition made twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ReferenceError {
    /// The name, what could be meant.
    #[error("there is no zone `{0}`")]
    #[diagnostic(code("unknown-zone"), help("zones are defined in `[zones]`: {1}"))]
    UnknownZone(String, Suggestion),
    /// The name, what could be meant.
    #[error("there is no set `{0}`")]
    #[diagnostic(code("unknown-set"), help("sets are defined in `[sets]`: {1}"))]
    UnknownSet(String, Suggestion),
    /// The set that contains itself.
    #[error("the set `{0}` contains itself")]
    #[diagnostic(code("set-cycle"), help("take one of the references out of the circle"))]
    SetCycle(String),
    /// The zone's name.
    #[error("`{0}` is the gateway itself, not a zone to be defined")]
    #[diagnostic(code("reserved-zone"), help("give the zone another name; rules may name `self` without a definition"))]
    ReservedZone(String),
    /// The interface, the zone that has it.
    #[error("the interface `{0}` is already in zone `{1}`")]
    #[diagnostic(code("interface-in-two-zones"), help("an interface is in one zone at most: keep it in one of them"))]
    InterfaceInTwoZones(String, String),
    /// The address, the interface that has it.
    #[error("the address of `{0}` is already given to interface `{1}`")]
    #[diagnostic(code("address-twice"), help("give each interface an address of its own"))]
    AddressTwice(IpNet, String),
    /// The name, the line of its first use.
    #[error("the name `{0}` is already that of the rule in line {1}")]
    #[diagnostic(code("duplicate-rule-name"), help("give the rule a name of its own: it appears in counters, drops and flows"))]
    DuplicateRuleName(String, usize),
}
