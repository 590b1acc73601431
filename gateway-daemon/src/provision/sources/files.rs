//! The files of a source, read into memory, so that its disk can be let go of at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::provision::error::ProvisionError;

/// More than any policy or user data has.
const LIMIT: u64 = 16 * 1024 * 1024;
/// `openstack/latest/user_data` is the deepest that is looked for; a ConfigMap's own links are one level deep.
const DEPTH: usize = 3;

/// The files, by path below the source.
#[derive(Debug, Default)]
pub struct Files {
    texts: BTreeMap<PathBuf, String>,
    unread: Vec<(PathBuf, Why)>,
}

#[derive(Debug)]
enum Why {
    Unreadable(io::ErrorKind, String),
    TooLarge,
}

impl Files {
    /// Reads what is below the directory.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn of(directory: &Path) -> Result<Self, ProvisionError> {
        let mut files = Self::default();
        let listed = files.add(directory, Path::new(""), DEPTH);
        listed.map_err(|source| ProvisionError::Read { path: directory.display().to_string(), source }).map(|()| files)
    }

    fn add(&mut self, directory: &Path, below: &Path, depth: usize) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let (path, name) = (entry.path(), below.join(entry.file_name()));
            // The second copies that a ConfigMap's links lead to.
            if entry.file_name().to_string_lossy().starts_with("..") {
                continue;
            }
            // With links followed: a ConfigMap's files are such.
            let Ok(found) = std::fs::metadata(&path) else { continue };
            if found.is_dir() && depth > 1 {
                // A directory that cannot be listed is none of what is looked for.
                let _ = self.add(&path, &name, depth - 1);
            } else if found.is_file() {
                match read(&path) {
                    Ok(text) => drop(self.texts.insert(name, text)),
                    Err(why) => self.unread.push((name, why)),
                }
            }
        }
        Ok(())
    }

    /// Is there such a file?
    pub fn has(&self, path: &str) -> bool {
        self.texts.contains_key(Path::new(path))
    }

    /// A file's text.
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// What could not be read.
    pub fn problems(&self) -> impl Iterator<Item = ProvisionError> {
        self.unread.iter().map(|(path, why)| {
            let path = path.display().to_string();
            match why {
                Why::TooLarge => ProvisionError::TooLarge { path, limit: LIMIT },
                Why::Unreadable(kind, text) => ProvisionError::Read { path, source: io::Error::new(*kind, text.clone()) },
            }
        })
    }
}

fn read(path: &Path) -> Result<String, Why> {
    let mut bytes = Vec::new();
    let unreadable = |error: io::Error| Why::Unreadable(error.kind(), error.to_string());
    File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Why::TooLarge);
    }
    // Windows' editors put a mark in front.
    let text = String::from_utf8(bytes).map_err(|_| Why::Unreadable(io::ErrorKind::InvalidData, "it is no UTF-8 text".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
