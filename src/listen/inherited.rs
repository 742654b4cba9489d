//! Sockets that were open before the process began (systemd's socket activation, sd_listen_fds(3)): a port below 1024 without a right to
//! it, and connections that wait, not fail, while Tollgate is restarted.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};

use listenfd::ListenFd;

/// Those that nobody has taken yet. A process inherits them once, so they are its own and no server's.
static SOCKETS: LazyLock<Mutex<Vec<TcpListener>>> = LazyLock::new(|| Mutex::new(inherited()));

/// The inherited socket that is bound to this address, if there is one; it is the caller's then.
pub(super) fn take(address: SocketAddr) -> Option<io::Result<tokio::net::TcpListener>> {
    let mut sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = sockets
        .iter()
        .position(|socket| socket.local_addr().is_ok_and(|bound| bound == address))?;
    let socket = sockets.swap_remove(at);
    Some(
        socket
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(socket)),
    )
}

/// The addresses of those that nobody has taken.
pub(super) fn left() -> Vec<SocketAddr> {
    let sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
}

fn inherited() -> Vec<TcpListener> {
    let mut handed_over = ListenFd::from_env();
    // What is no TCP socket is nothing that we could serve.
    (0..handed_over.len())
        .filter_map(|at| handed_over.take_tcp_listener(at).ok().flatten())
        .collect()
}
