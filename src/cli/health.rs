//! `tollgate health`: whether the server of a configuration is ready, for health checks that run a command, as those of containers.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::outcome::{Outcome, Stop};
use crate::config::Config;

/// Asks `/readyz` of the admin listener. Prints what it says; the answer is no while the server is not ready or not there.
pub(super) fn run(config: &Config, out: &mut impl Write) -> Result<Outcome, Stop> {
    let admin = &config.admin;
    if admin.tls.is_some() {
        return Err(Stop::Usage(
            "`tollgate health` asks without TLS, and `[admin]` has it: let `/readyz` be asked over HTTPS instead, or keep a plain admin listener on this machine".into(),
        ));
    }
    if admin.address.port() == 0 {
        return Err(Stop::Usage(
            "the port of `[admin] address` is 0, so it is another one at every start: write the one to ask".into(),
        ));
    }
    let address = SocketAddr::new(reachable(admin.address.ip()), admin.address.port());
    let (ready, text) = match ask(address) {
        Ok(answer) => answer,
        Err(error) => (false, format!("nothing answers on {address}: {error}")),
    };
    writeln!(out, "{text}")?;
    Ok(ready.into())
}

/// Whether it is ready, and what it says.
fn ask(address: SocketAddr) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    let (head, text) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("what answers is no HTTP server"))?;
    Ok((head.starts_with("HTTP/1.1 200 "), text.trim().to_owned()))
}

/// An address that stands for all of a machine is reached at its own.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
const LONGEST: u64 = 16 * 1024;
