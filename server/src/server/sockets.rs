//! Sockets to accept connections on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::machine;
use crate::config::UnixSocket;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;

/// Listens at `host`, which may be a name; an empty one is every address of the machine.
pub(crate) async fn tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    if host.is_empty() {
        // One socket for both families, where the machine has both.
        return listen(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))
            .or_else(|_| listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)));
    }
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens at a path, in place of a socket that an earlier process left there.
pub(crate) fn unix(settings: &UnixSocket) -> io::Result<UnixListener> {
    let path = &settings.path;
    remove_unix(path);
    let listener = UnixListener::bind(path)?;
    let id = |name: Option<&String>, find: fn(&str) -> Option<u32>| match name {
        None => Ok(None),
        Some(name) => find(name).map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no user or group {name:?}"),
            )
        }),
    };
    let user = id(settings.user.as_ref(), machine::user_id)?;
    let group = id(settings.group.as_ref(), machine::group_id)?;
    if user.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, user, group)?;
    }
    if let Some(mode) = settings.mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// Removes a socket file; anything else at the path stays.
pub(crate) fn remove_unix(path: &Path) {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        let _ = std::fs::remove_file(path);
    }
}
