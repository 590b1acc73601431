//! From nft's complaint about a line to the policy's rule that the line was made from.

use super::print::Printed;
use crate::model::RuleName;

/// The rule behind the first of the lines that `message` complains of; `None`: nft names no line, or one that is no rule's.
pub(super) fn rule(message: &str, printed: &Printed) -> Option<RuleName> {
    message.lines().filter_map(line).find_map(|line| printed.rule(line)).cloned()
}

/// `/dev/stdin:LINE:COL-COL: Error: ...`
fn line(complaint: &str) -> Option<usize> {
    let (line, _) = complaint.strip_prefix("/dev/stdin:")?.split_once(':')?;
    line.parse().ok()
}
