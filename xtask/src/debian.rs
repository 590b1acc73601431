//! Debian's archives, as this machine's own apt reaches them.

use anyhow::{Context, Result};

use crate::setup::archives;
use crate::shell::answer;

/// The release that this machine runs: what is built here needs its C library, or a later one.
///
/// # Errors
/// When /etc/os-release does not tell.
pub fn own_suite() -> Result<String> {
    answer("sh", &["-c", ". /etc/os-release && echo \"$VERSION_CODENAME\""])
}

/// apt's source lines for a release, with its security updates where it has any and this machine's apt knows their archive.
///
/// # Errors
/// When apt knows no archive.
pub fn sources(suite: &str) -> Result<Vec<String>> {
    let archives = archives();
    let main = archives.main.context("apt knows no Debian archive (a source whose address ends in /debian); add one to its sources")?;
    let mut lines = vec![format!("deb {main} {suite} main")];
    // Unstable gets its fixes by the ordinary way.
    lines.extend(archives.security.filter(|_| suite != "sid").map(|security| format!("deb {security} {suite}-security main")));
    Ok(lines)
}

/// For mmdebstrap: what this machine's apt is told about archives that stand still, because they are snapshots.
pub fn snapshot_options() -> Vec<String> {
    let told = |option: &&str| answer("apt-config", &["dump", "--format", "%v", option]).is_ok_and(|value| value == "false");
    ["Acquire::Check-Valid-Until", "Acquire::Check-Date"]
        .iter()
        .filter(|option| told(option))
        .map(|option| format!("--aptopt={option} \"false\""))
        .collect()
}
