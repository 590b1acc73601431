//! From nft's complaint about a line to the policy's rule that the line was made from.

use super::print::Printed;
use crate::model::RuleName;

/// The rule behind the first line that `message` complains of; `None`: nft names no line, or one that is no rule's. What follows may only
/// be a consequence: of a table that another process owns, nft refuses every object.
pub(super) fn rule(message: &str, printed: &Printed) -> Option<RuleName> {
    let first = message.lines().find_map(line)?;
    printed.rule(first).cloned()
}

/// `/dev/stdin:LINE:COL-COL: Error: ...`
fn line(complaint: &str) -> Option<usize> {
    let (line, _) = complaint.strip_prefix("/dev/stdin:")?.split_once(':')?;
    line.parse().ok()
}
