//! What must survive a restart: a JSON file for each kind, replaced as a whole, so that a reader finds the old
//! contents or the new ones, whatever happens meanwhile.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the files are unless the command line says otherwise.
pub const DEFAULT_FOLDER: &str = "/var/lib/director";

/// Of the way contents are wrapped; each kind keeps its own contents readable.
const VERSION: u32 = 1;

/// A file that is larger was not written by the director: ten thousand services take 5 MB.
const SIZE_LIMIT: u64 = 64 << 20;

/// Why state was not read or written. The files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder is missing and can't be made.
    #[error("cannot make the state folder {}: {error}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What failed.
        error: io::Error,
    },
    /// Another process has the folder.
    #[error("another director is running: it holds {}", .0.display())]
    Locked(PathBuf),
    /// A file is there but can't be read.
    #[error("cannot read state from {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        error: io::Error,
    },
    /// A file was written by a later version of the director.
    #[error(
        "{} has format {found}, this director knows up to {VERSION}: go back to the newer version, or move \
         the file away to start without what is in it",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A damaged file can't be moved out of the way.
    #[error("{} is damaged and cannot be moved aside: {error}", .path.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// What failed.
        error: io::Error,
    },
    /// A file can't be replaced.
    #[error("cannot write state to {}: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        error: io::Error,
    },
}

/// Keeps the state folder to one director, as long as it lives.
#[derive(Debug)]
pub struct Lock {
    /// The kernel lets go of the lock when the file is closed, also after a kill.
    _file: File,
}

/// Takes the state folder, which is made if need be, for this process.
///
/// # Errors
/// The folder can't be made or written, or another director has it.
pub fn lock(folder: &Path) -> Result<Lock, StateError> {
    make(folder)?;
    let path = folder.join("lock");
    let failed = |error| StateError::Write { path: path.clone(), error };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StateError::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn make(folder: &Path) -> Result<(), StateError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| StateError::Folder { folder: folder.to_owned(), error })
}

/// The file of one kind of state.
#[derive(Debug)]
pub struct Store<T> {
    path: PathBuf,
    contents: PhantomData<fn(T)>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    contents: T,
}

impl<T: Default + Serialize + for<'de> Deserialize<'de>> Store<T> {
    /// The file `name` in `folder`, which is made if need be, and what is in it: the default if there is no such
    /// file. A damaged one is moved aside, as `name.damaged`, and the log says so.
    ///
    /// # Errors
    /// The folder can't be made; the file can't be read, or is of a later version; a damaged one can't be moved.
    pub fn open(folder: &Path, name: &str) -> Result<(Self, T), StateError> {
        make(folder)?;
        let path = folder.join(name);
        let store = Self { path, contents: PhantomData };
        let contents = store.load()?;
        Ok((store, contents))
    }

    /// Replaces the contents. They are on the disk when this returns, readable by the owner only.
    ///
    /// # Errors
    /// The file can't be written; the old contents stay.
    pub fn save(&mut self, contents: &T) -> Result<(), StateError> {
        self.replace(contents).map_err(|error| StateError::Write { path: self.path.clone(), error })
    }

    fn load(&self) -> Result<T, StateError> {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return self.move_aside(&error.to_string());
            }
            Err(error) => return Err(StateError::Read { path: self.path.clone(), error }),
        };
        match serde_json::from_str(&text) {
            Ok(Version { version }) if version > VERSION => {
                return Err(StateError::Newer { path: self.path.clone(), found: version });
            }
            Ok(_) => {}
            Err(error) => return self.move_aside(&error.to_string()),
        }
        match serde_json::from_str(&text) {
            Ok(Versioned { contents, .. }) => Ok(contents),
            Err(error) => self.move_aside(&error.to_string()),
        }
    }

    fn move_aside(&self, reason: &str) -> Result<T, StateError> {
        let aside = with_suffix(&self.path, ".damaged");
        fs::rename(&self.path, &aside)
            .map_err(|error| StateError::Aside { path: self.path.clone(), error })?;
        tracing::error!(
            file = %self.path.display(),
            moved_to = %aside.display(),
            reason,
            "a state file is damaged: starting without what was in it"
        );
        Ok(T::default())
    }

    fn replace(&self, contents: &T) -> io::Result<()> {
        let text = serde_json::to_vec(&Versioned { version: VERSION, contents })?;
        let new = with_suffix(&self.path, ".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        // The mode above is for a new file only, and a kill may have left one.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SIZE_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is far too large"));
    }
    Ok(text)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tempfile::TempDir;

    type Weights = BTreeMap<String, u16>;

    fn open(folder: &TempDir) -> Result<(Store<Weights>, Weights), StateError> {
        Store::open(folder.path(), "weights.json")
    }

    fn weights(weight: u16) -> Weights {
        [("exchange1".to_owned(), weight)].into()
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_saved_is_there_after_a_restart() {
        let folder = TempDir::new().unwrap();
        let (mut store, empty) = open(&folder).unwrap();
        assert_eq!(empty, Weights::new());
        for weight in [1, 2] {
            store.save(&weights(weight)).unwrap();
            assert_eq!(open(&folder).unwrap().1, weights(weight));
        }
        assert_eq!(names(&folder), ["weights.json"]);
        let mode = fs::metadata(folder.path().join("weights.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_a_kill_left_is_replaced() {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = open(&folder).unwrap();
        store.save(&weights(1)).unwrap();
        fs::write(folder.path().join("weights.json.new"), "{\"version\":1,\"contents\":{\"exch").unwrap();
        assert_eq!(open(&folder).unwrap().1, weights(1));
        store.save(&weights(2)).unwrap();
        assert_eq!(open(&folder).unwrap().1, weights(2));
        assert_eq!(names(&folder), ["weights.json"]);
        let mode = fs::metadata(folder.path().join("weights.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        let damages: [&[u8]; 8] = [
            b"",
            b"{\"version\":1,\"contents\":{\"exch",
            b"[]",
            b"{\"contents\":{}}",
            b"{\"version\":1,\"contents\":{\"exchange1\":-1}}",
            b"{\"version\":-1,\"contents\":{}}",
            b"\xff\xfe",
            &[b'['; 200_000],
        ];
        for damage in damages {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join("weights.json"), damage).unwrap();
            let (mut store, contents) = open(&folder).unwrap();
            assert_eq!(contents, Weights::new());
            assert_eq!(names(&folder), ["weights.json.damaged"]);
            assert_eq!(fs::read(folder.path().join("weights.json.damaged")).unwrap(), damage);
            store.save(&weights(1)).unwrap();
            assert_eq!(open(&folder).unwrap().1, weights(1));
        }
    }

    #[test]
    fn a_file_that_is_far_too_large_is_not_read() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("weights.json");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(open(&folder).unwrap().1, Weights::new());
        assert_eq!(names(&folder), ["weights.json.damaged"]);
    }

    #[test]
    fn a_file_of_a_later_version_stays_and_is_an_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("weights.json");
        let text = "{\"version\":7,\"contents\":{\"what\":\"ever\"}}";
        fs::write(&path, text).unwrap();
        let error = open(&folder).unwrap_err().to_string();
        assert!(error.contains("weights.json has format 7, this director knows up to 1"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_the_contents_stay() {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = open(&folder).unwrap();
        store.save(&weights(1)).unwrap();
        // Root may write to any folder, but not to a file that is a folder.
        fs::create_dir(folder.path().join("weights.json.new")).unwrap();
        let error = store.save(&weights(2)).unwrap_err();
        assert!(matches!(error, StateError::Write { .. }), "{error}");
        assert_eq!(open(&folder).unwrap().1, weights(1));

        let error = Store::<Weights>::open(&folder.path().join("weights.json/folder"), "x").unwrap_err();
        assert!(matches!(error, StateError::Folder { .. }), "{error}");
    }

    #[test]
    fn a_folder_is_one_directors() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(StateError::Locked(_))));
        drop(held);
        lock(folder.path()).unwrap();
    }
}
