//! The configuration disk, as KubeVirt makes it: an ISO labelled `cidata`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::workshop;

/// What stands on the disk.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// `user-data`.
    pub user_data: String,
    /// `network-config`, version 2.
    pub network_config: String,
}

impl Seed {
    /// With this policy in the section `gateway:` of user data.
    #[must_use]
    pub fn with_policy(policy: &str, network_config: &str) -> Self {
        let indented: String = policy.lines().map(|line| format!("    {line}\n")).collect();
        Self { user_data: format!("#cloud-config\ngateway:\n  policy: |\n{indented}"), network_config: network_config.to_owned() }
    }

    /// Makes the disk `seed.iso` in the directory `work`, or changes it in place, as somebody else's disk would change.
    pub(super) fn write(&self, builder: &Path, work: &Path) -> Result<()> {
        let directory = work.join("seed");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let meta_data = "instance-id: test\nlocal-hostname: appliance\n";
        for (name, text) in [("meta-data", meta_data), ("user-data", &self.user_data), ("network-config", &self.network_config)] {
            fs::write(directory.join(name), text)?;
        }
        let options = ["-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", "next.iso", "seed"];
        let words = workshop::enter(builder, work, "xorrisofs", &options);
        let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().context("cannot run xorrisofs")?;
        ensure!(output.status.success(), "xorrisofs failed: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::copy(work.join("next.iso"), work.join("seed.iso")).context("cannot write the configuration disk")?;
        Ok(())
    }
}
