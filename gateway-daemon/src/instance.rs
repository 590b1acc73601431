//! Which of the gateways on a machine: the name, and the files under `/run/gateway` that belong to it.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where every instance has its directory.
const RUN_DIR: &str = "/run/gateway";

/// A gateway's name: 1 to 32 of `A-Z a-z 0-9 _ -`, so that it can stand in a path, a table's name or a log line as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName(String);

/// Why a text is not an [`InstanceName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceNameError {
    /// Nothing, or too much.
    #[error("an instance name has 1 to {max} characters, this one has {0}; choose a shorter name, such as \"lab\"", max = InstanceName::MAX_LEN)]
    Length(usize),
    /// Something that could leave the directory or break a line.
    #[error("an instance name has only letters, digits, '_' and '-', not {0:?}; choose a name such as \"lab-1\"")]
    Character(char),
}

impl InstanceName {
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 32;
    /// The instance meant when none is named.
    pub const DEFAULT: &'static str = "default";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instance's own directory, mode 0700; see [`create_private`].
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        Path::new(RUN_DIR).join(&self.0)
    }

    /// The Unix socket that the live commands talk to.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    /// The file whose lock says that a daemon of this instance runs.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.directory().join("lock")
    }

    /// What the daemon must put back when it ends, also after a crash.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.directory().join("state.json")
    }
}

impl Default for InstanceName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InstanceName {
    type Err = InstanceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(odd) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
            return Err(InstanceNameError::Character(odd));
        }
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(InstanceNameError::Length(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Makes the directory, with its parents, so that only its owner can look inside (mode 0700).
///
/// # Errors
/// When it cannot be made, is not a directory (a symbolic link is not), or belongs to another user: whoever owns it could exchange the socket.
pub fn create_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is a symbolic link, not a directory"));
    }
    let (owner, own) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != own {
        let why = format!("it belongs to user {owner}, not to user {own} that the gateway runs as");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_instances_own_directory() {
        let name: InstanceName = "lab-1".parse().unwrap();
        assert_eq!(name.control_socket(), Path::new("/run/gateway/lab-1/control.sock"));
        assert_eq!(name.lock_file(), Path::new("/run/gateway/lab-1/lock"));
        assert_eq!(name.state_file(), Path::new("/run/gateway/lab-1/state.json"));
        assert_eq!(InstanceName::default(), "default".parse().unwrap());
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for (text, error) in [
            ("", InstanceNameError::Length(0)),
            ("..", InstanceNameError::Character('.')),
            ("a/b", InstanceNameError::Character('/')),
            ("a\nb", InstanceNameError::Character('\n')),
            ("ä", InstanceNameError::Character('ä')),
        ] {
            assert_eq!(text.parse::<InstanceName>(), Err(error), "{text:?}");
        }
        assert_eq!("x".repeat(33).parse::<InstanceName>(), Err(InstanceNameError::Length(33)));
        assert!("x".repeat(32).parse::<InstanceName>().is_ok());
    }

    #[test]
    fn a_directory_open_to_others_is_closed_and_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("a/b");
        fs::create_dir_all(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        create_private(&open).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o700);

        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert_eq!(create_private(&link).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
