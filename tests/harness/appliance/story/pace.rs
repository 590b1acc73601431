//! How long a boot may take. Judged where a person asks for it: a machine that does other things too, as CI's do, says nothing about it.

use anyhow::{Result, ensure};

use super::{Story, Tale};

/// Seconds from the kernel's start to forwarding, by the guest's clock.
const GUEST: f64 = 10.0;
/// Seconds from power to forwarding, by this machine's clock, although it emulates the other one.
const WALL: f64 = 20.0;

/// The best of these stories' boots must keep to what the README promises; says what it took.
///
/// # Errors
/// When none has booted by firmware, or all of them took longer.
pub fn judge(stories: &[Story]) -> Result<String> {
    // Where a hypervisor loads the kernel, there is no firmware and no boot loader to wait for.
    let boots = stories.iter().filter(|story| story.tale != Tale::LastResort);
    let best = boots.map(|story| (story.guest_seconds, story.wall_seconds)).min_by(|one, other| one.1.total_cmp(&other.1));
    let Some((guest, wall)) = best else { anyhow::bail!("no machine was booted by its firmware") };
    ensure!(
        guest < GUEST && wall < WALL,
        "the best boot took {guest:.1} s by the guest's clock and {wall:.1} s by this machine's; at most {GUEST} s and {WALL} s are promised. \
         Does this machine do something else?"
    );
    Ok(format!("the best boot: {guest:.1} s by the guest's clock (at most {GUEST}), {wall:.1} s by this machine's (at most {WALL})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(tale: Tale, guest_seconds: f64, wall_seconds: f64) -> Story {
        Story { tale, lines: Vec::new(), guest_seconds, wall_seconds, processor_seconds: 0.0 }
    }

    #[test]
    fn the_best_boot_by_firmware_counts() {
        let slow = story(Tale::Life, 12.0, 31.0);
        assert!(judge(&[slow, story(Tale::Sources, 7.5, 17.2)]).unwrap().contains("17.2 s"));
        for (guest, wall) in [(12.0, 19.0), (8.0, 21.0)] {
            assert!(judge(&[story(Tale::Life, guest, wall), story(Tale::LastResort, 5.0, 9.0)]).is_err());
        }
        assert!(judge(&[story(Tale::LastResort, 5.0, 9.0)]).is_err());
    }
}
