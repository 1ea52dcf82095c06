//! The sockets that the API listens on.

use director_core::model::ApiSettings;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Group;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// The sockets, listening. Dropped without being served they leave a stale socket file, which does no harm.
#[derive(Debug)]
pub struct Listeners {
    pub(super) unix: UnixListener,
    pub(super) path: PathBuf,
    pub(super) tcp: Option<TcpListener>,
}

/// The API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on the socket.
    #[error("another director is running: it answers on {}", .0.display())]
    Running(PathBuf),
    /// Something else is in the socket's place.
    #[error("{} exists and is no socket; move it away or set api.socket to another path", .0.display())]
    NoSocket(PathBuf),
    /// The socket's folder cannot be made.
    #[error("cannot make the folder {} for the API's socket", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket cannot be made, or its owner and mode not be set.
    #[error("cannot listen on the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is not a loopback address: there is no authentication.
    #[error(
        "the API listens on loopback addresses only, not on {0}; set api.listen to 127.0.0.1:PORT or [::1]:PORT"
    )]
    NotLoopback(SocketAddr),
    /// The TCP listener cannot be made.
    #[error("cannot listen on {address} (api.listen)")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl Listeners {
    /// Listens on the socket and, if there is one in the settings, on the TCP address.
    ///
    /// A socket file that nobody answers on is replaced. A group that does not exist is a warning in the log: the
    /// socket is root's alone then.
    ///
    /// # Errors
    /// See [`BindError`]. Nothing listens then.
    pub async fn bind(settings: &ApiSettings) -> Result<Self, BindError> {
        let path = settings.socket.clone();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)
                .map_err(|source| BindError::Folder { path: folder.to_owned(), source })?;
        }
        remove_stale(&path).await?;
        let tcp = match settings.listen {
            Some(address) => Some(tcp(address).await?),
            None => None,
        };
        let group = settings.group.as_deref().and_then(group_id);
        let unix = unix(&path, group).map_err(|source| BindError::Socket { path: path.clone(), source })?;
        Ok(Self { unix, path, tcp })
    }

    /// The TCP address that is listened on: the configured one, with the port that the kernel chose for port 0.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }
}

async fn tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| BindError::Tcp { address, source })
}

async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(BindError::Running(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// The file belongs to root alone from the moment it exists, and only then to the group; nobody can connect before
/// it listens.
fn unix(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode of the socket, less the umask.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(path)?;
    if group.is_some() {
        chown(path, None, group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    socket.listen(BACKLOG)
}

fn group_id(name: &str) -> Option<u32> {
    match Group::from_name(name) {
        Ok(Some(group)) => Some(group.gid.as_raw()),
        Ok(None) => {
            tracing::warn!(group = name, "api.group: there is no such group; only root may use the socket");
            None
        }
        Err(error) => {
            tracing::warn!(group = name, %error, "api.group: cannot look it up; only root may use the socket");
            None
        }
    }
}
