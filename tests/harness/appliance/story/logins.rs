//! Who gets in: by a password on the serial console, by a key through ssh, and nobody else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::forwards::POLICY;
use super::scene::{SOON, Scene, network_config};
use crate::appliance::Disk;
use crate::appliance::disks::user_data;
use crate::lab::GATEWAY_PODS;
use crate::wait_until;

/// A password, and its hash by `openssl passwd -6`.
const PASSWORD: &str = "correct horse";
pub const HASH: &str = "$6$appliance$ZuIXYROQqkyFVAf2WBiAvczXwuYFYAudvELYtUem.74oPuc56z/kEjSILrjCoHDxlYYtbbA6ztQQknVzjz8nB1";
/// Another password.
const WRONG: &str = "wrong horse";

/// No password opens the console.
pub fn closed(scene: &Scene<'_>) -> Result<String> {
    let said = scene.vm.serial()?.log_in(PASSWORD, "id -un")?;
    ensure!(said.is_none(), "root came in, as {said:?}");
    Ok("Login incorrect".to_owned())
}

/// The password opens the console, and no other does.
pub fn by_password(scene: &Scene<'_>) -> Result<String> {
    let mut console = scene.vm.serial()?;
    let wrong = console.log_in(WRONG, "id -un")?;
    ensure!(wrong.is_none(), "root came in by another password, as {wrong:?}");
    let right = console.log_in(PASSWORD, "id -un")?;
    ensure!(right.as_deref() == Some("root"), "the password did not open the console: {right:?}");
    Ok("a shell of root".to_owned())
}

/// A key and a password that came while the machine ran open it; once no source has them, it is closed again.
pub fn given_and_withdrawn(scene: &Scene<'_>) -> Result<String> {
    let key = Key::make()?;
    ensure!(key.log_in(scene).is_err(), "there is an ssh server without a key");
    let given = user_data(POLICY) + &format!("ssh_authorized_keys: [{}]\npassword: {HASH}\n", key.public()?);
    scene.vm.rewrite(&Disk::nocloud(given, &network_config()))?;
    scene.reread()?;
    // The server's unit counts as started before it listens.
    let mut refused = String::new();
    wait_until(SOON, "the key to open it", || {
        refused = key.log_in(scene).err().map(|error| format!("{error:#}")).unwrap_or_default();
        Ok(refused.is_empty())
    })
    .context(refused)?;
    ensure!(Key::make()?.log_in(scene).is_err(), "another key opens it too");
    let seen = by_password(scene)?;
    scene.vm.rewrite(&Disk::nocloud(user_data(POLICY), &network_config()))?;
    scene.reread()?;
    ensure!(key.log_in(scene).is_err(), "the key still opens it");
    closed(scene)?;
    Ok(format!("ssh and {seen}, then neither"))
}

/// A key of Debian's ssh client.
struct Key {
    directory: TempDir,
}

impl Key {
    fn make() -> Result<Self> {
        let key = Self { directory: TempDir::new()? };
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f"];
        let made = Command::new("ssh-keygen").args(words).arg(key.path()).output();
        let made = made.context("cannot run ssh-keygen (package openssh-client)")?;
        ensure!(made.status.success(), "ssh-keygen failed: {}", String::from_utf8_lossy(&made.stderr));
        Ok(key)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("key")
    }

    fn public(&self) -> Result<String> {
        let path: &Path = &self.path().with_added_extension("pub");
        std::fs::read_to_string(path).map(|text| text.trim().to_owned()).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Logs in from the pod side and asks who it is.
    fn log_in(&self, scene: &Scene<'_>) -> Result<String> {
        let fixed = "-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=15";
        let (path, place) = (self.path(), format!("root@{GATEWAY_PODS}"));
        let mut words: Vec<&str> = fixed.split(' ').collect();
        words.extend(["-i", path.to_str().context("a strange path")?, &place, "id -un"]);
        let name = scene.lab.pods.run("ssh", &words)?;
        ensure!(name.trim() == "root", "ssh came in as {name:?}");
        Ok(name.trim().to_owned())
    }
}
