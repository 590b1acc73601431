//! The project's own directory of tools, outside the source tree: it survives a fresh clone and serves several.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory: `$GATEWAY_TOOLS`, else `$XDG_DATA_HOME/gateway-build`, else `~/.local/share/gateway-build`.
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Finds the directory, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or when nothing says where home is.
    pub fn open() -> Result<Self> {
        let directory = locate(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
            .context("none of GATEWAY_TOOLS, XDG_DATA_HOME and HOME is set; set GATEWAY_TOOLS to a directory for the build tools")?;
        Self::at(directory)
    }

    fn at(directory: PathBuf) -> Result<Self> {
        for part in ["bin", "logs"] {
            std::fs::create_dir_all(directory.join(part)).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(Self { directory })
    }

    /// Waits until no other setup works in the directory, and holds it until the value is dropped.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock(&self) -> Result<std::fs::File> {
        let path = self.path("lock");
        let file = std::fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(file)
    }

    /// A path in the directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.join(relative)
    }

    /// The log of one step.
    pub fn log(&self, step: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{step}.log"))
    }

    /// The file that the daemon's build script reads.
    pub fn env_file(&self) -> PathBuf {
        self.path("env")
    }

    /// Writes the answers for the build script, one `KEY=value` per line. `EBPF_RUST_SRC` is empty where the toolchain
    /// has the sources itself. The file is left alone when nothing changed, so that no build becomes stale.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_env(&self, linker: &Path, rust_src: Option<&Path>) -> Result<()> {
        let rust_src = rust_src.map(|path| path.display().to_string()).unwrap_or_default();
        let wanted = format!("EBPF_LINKER={}\nEBPF_RUST_SRC={rust_src}\n", linker.display());
        let file = self.env_file();
        if std::fs::read_to_string(&file).is_ok_and(|present| present == wanted) {
            return Ok(());
        }
        // By rename: a build that runs at the same time reads the old or the new file, never half of one.
        let new = self.path(&format!("env.{}", std::process::id()));
        std::fs::write(&new, wanted).and_then(|()| std::fs::rename(&new, &file)).with_context(|| format!("cannot write {}", file.display()))
    }
}

fn locate(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("GATEWAY_TOOLS")
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("gateway-build")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/gateway-build")))
}

/// Is the marker file at `path` the one that was written for `wanted`?
pub fn stamp_matches(path: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|present| present.trim_end() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(set: &[(&str, &str)]) -> Option<PathBuf> {
        locate(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
    }

    #[test]
    fn the_directory_follows_the_order_of_variables() {
        assert_eq!(located(&[("GATEWAY_TOOLS", "/t"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some("/t".into()));
        assert_eq!(located(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some("/x/gateway-build".into()));
        assert_eq!(located(&[("HOME", "/h")]), Some("/h/.local/share/gateway-build".into()));
        assert_eq!(located(&[]), None);
    }

    #[test]
    fn the_env_file_names_the_linker_and_an_empty_source_and_is_not_touched_again() {
        let home = tempfile::tempdir().unwrap();
        let tools = Tools::at(home.path().to_owned()).unwrap();
        tools.write_env(Path::new("/b/bpf-linker"), None).unwrap();
        let text = std::fs::read_to_string(tools.env_file()).unwrap();
        assert_eq!(text, "EBPF_LINKER=/b/bpf-linker\nEBPF_RUST_SRC=\n");
        let before = std::fs::metadata(tools.env_file()).unwrap().modified().unwrap();
        tools.write_env(Path::new("/b/bpf-linker"), None).unwrap();
        assert_eq!(std::fs::metadata(tools.env_file()).unwrap().modified().unwrap(), before);
        tools.write_env(Path::new("/b/bpf-linker"), Some(Path::new("/s/library"))).unwrap();
        assert!(std::fs::read_to_string(tools.env_file()).unwrap().ends_with("EBPF_RUST_SRC=/s/library\n"));
    }
}
