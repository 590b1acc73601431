//! Disks beside the machine's own, as KubeVirt makes them: configuration on an ISO with a label, and blank ones.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::workshop;

/// Of a blank disk, in bytes.
const BLANK: u64 = 32 << 20;

/// One disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The name of its file, unique in the machine.
    pub name: &'static str,
    /// What the hypervisor calls it; may be empty.
    pub serial: &'static str,
    /// What is on it.
    pub content: Content,
}

/// What is on a disk.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing, and room to write.
    Blank,
    /// An ISO, to be read only.
    Medium(Medium),
}

/// An ISO.
#[derive(Clone, Debug)]
pub struct Medium {
    /// Its volume label.
    pub label: &'static str,
    /// Paths and texts.
    pub files: Vec<(&'static str, String)>,
}

impl Disk {
    /// KubeVirt's `cloudInitNoCloud`.
    #[must_use]
    pub fn nocloud(user_data: String, network_config: &str) -> Self {
        let meta_data = "instance-id: test\nlocal-hostname: appliance\n".to_owned();
        let files = vec![("meta-data", meta_data), ("user-data", user_data), ("network-config", network_config.to_owned())];
        Self { name: "seed", serial: "", content: Content::Medium(Medium { label: "cidata", files }) }
    }

    /// KubeVirt's `cloudInitConfigDrive`.
    #[must_use]
    pub fn config_drive(user_data: String, network_config: &str) -> Self {
        let files = vec![
            ("openstack/latest/meta_data.json", r#"{"hostname": "drive", "uuid": "0"}"#.to_owned()),
            ("openstack/latest/user_data", user_data),
            ("openstack/latest/network_data.json", network_config.to_owned()),
        ];
        Self { name: "seed", serial: "", content: Content::Medium(Medium { label: "config-2", files }) }
    }

    /// A ConfigMap as a disk, with the label that KubeVirt gives to all of them.
    #[must_use]
    pub fn config_map(serial: &'static str, files: Vec<(&'static str, String)>) -> Self {
        Self { name: "configmap", serial, content: Content::Medium(Medium { label: "cfgdata", files }) }
    }

    /// A blank one for state.
    #[must_use]
    pub fn state() -> Self {
        Self { name: "state", serial: "gateway-state", content: Content::Blank }
    }

    /// Its file in the machine's directory.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.name, if matches!(self.content, Content::Blank) { "raw" } else { "iso" })
    }

    /// Makes it in the directory `work`, or changes it in place, as somebody else's disk would change.
    pub(super) fn write(&self, builder: &Path, work: &Path) -> Result<()> {
        let Content::Medium(medium) = &self.content else {
            let file = File::create(work.join(self.file())).context("cannot make a blank disk")?;
            return file.set_len(BLANK).context("cannot make a blank disk");
        };
        let directory = work.join(self.name);
        for (path, text) in &medium.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().context("a file without a directory")?)?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let options = ["-quiet", "-volid", medium.label, "-joliet", "-rock", "-output", "next.iso", self.name];
        let words = workshop::enter(builder, work, "xorrisofs", &options);
        let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().context("cannot run xorrisofs")?;
        ensure!(output.status.success(), "xorrisofs failed: {}", String::from_utf8_lossy(&output.stderr));
        fs::copy(work.join("next.iso"), work.join(self.file())).context("cannot write a configuration disk")?;
        Ok(())
    }
}

/// User data with this policy in the section `gateway:`.
#[must_use]
pub fn user_data(policy: &str) -> String {
    let indented: String = policy.lines().map(|line| format!("    {line}\n")).collect();
    format!("#cloud-config\ngateway:\n  policy: |\n{indented}")
}
