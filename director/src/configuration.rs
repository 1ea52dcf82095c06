//! The configuration file, read and checked for this node.

use crate::redundancy::Router;
use crate::redundancy::keys::{self, KeyFileError};
use director_core::config::{self, Report, Warnings};
use director_core::model::{Model, Node};
use director_nft::fnv::fnv1a;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sync::vrrp::authentication::Keyring;

/// Longest file that is read: 16 MiB, room for far more than the most services allowed.
const LONGEST: u64 = 16 << 20;

/// A configuration that holds, and this director's place in it.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// What the file says.
    pub model: Arc<Model>,
    /// This director.
    pub node: Arc<Node>,
    /// FNV-1a of the text, 16 hexadecimal digits: the same on both directors, or their files differ.
    pub hash: String,
    /// What is strange in the file.
    pub warnings: Warnings,
    /// The keys that `key_file` holds, once they were asked for: see [`Self::with_keys`].
    pub keyring: Option<Keyring>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a text in UTF-8.
    #[error("{}: not a text in UTF-8", .0.display())]
    Encoding(PathBuf),
    /// The file is too long.
    #[error("{}: longer than {} MiB", .0.display(), LONGEST >> 20)]
    Length(PathBuf),
    /// The file does not hold.
    #[error("{0}")]
    Invalid(Report),
    /// The keys of the virtual router don't hold.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The file knows no such node.
    #[error("{}: no node is named {name:?}; there are {known}. Say which one this is with --node", path.display())]
    Node {
        /// The file.
        path: PathBuf,
        /// Who asked.
        name: String,
        /// The nodes there are.
        known: String,
    },
}

impl Configuration {
    /// As [`Self::load`] with keys, but of a regular file only: reading from a pipe may take forever.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn reload(path: &Path, node: &str) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Read { path: path.to_owned(), source };
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("not a regular file")));
        }
        Self::load(path, node)?.with_keys()
    }

    /// Reads and checks the file; `node` is this director's name.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path, node: &str) -> Result<Self, LoadError> {
        let text = read(path)?;
        let (model, warnings) =
            config::load_with_warnings(&text, &path.display().to_string()).map_err(LoadError::Invalid)?;
        let Some(node) = model.nodes.get(node).cloned() else {
            let known: Vec<&str> = model.nodes.keys().map(String::as_str).collect();
            return Err(LoadError::Node {
                path: path.to_owned(),
                name: node.to_owned(),
                known: known.join(", "),
            });
        };
        let hash = format!("{:016x}", fnv1a(text.as_bytes()));
        Ok(Self { model: Arc::new(model), node: Arc::new(node), hash, warnings, keyring: None })
    }

    /// Reads the key file that the configuration names, if it names one. Apart, since whoever only looks at a
    /// configuration may not read it.
    ///
    /// # Errors
    /// [`LoadError::Keys`].
    pub fn with_keys(self) -> Result<Self, LoadError> {
        let file = self.model.redundancy.as_ref().and_then(|redundancy| redundancy.key_file.as_deref());
        Ok(Self { keyring: file.map(keys::load).transpose()?, ..self })
    }

    /// Tells what is strange in the log.
    pub fn warn(&self) {
        for warning in &self.warnings.warnings {
            let (file, line, hint) = (&self.warnings.file, warning.line, warning.hint.as_deref());
            tracing::warn!(hint, "{file}:{line}: {}", warning.message);
        }
    }

    /// This director's part in the virtual router, if there is one.
    #[must_use]
    pub fn router(&self) -> Option<Router> {
        Some(Router {
            settings: Arc::new(self.model.redundancy.clone()?),
            nodes: Arc::new(self.model.nodes.clone()),
            node: self.node.name.clone(),
            keyring: self.keyring.clone(),
            configuration: self.hash.clone(),
        })
    }
}

/// The text of a configuration file, which may be no longer than 16 MiB.
///
/// # Errors
/// It can't be read, is too long, or is not a text.
pub fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(LoadError::Length(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| LoadError::Encoding(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_loaded_again() {
        let error = Configuration::reload(Path::new("/dev/null"), "lb1").unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: not a regular file");
    }
}
