//! Listening sockets: several for one address, so that as many loops accept without a lock between them.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// An address cannot be listened on. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct BindError {
    /// The address asked for.
    pub addr: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

/// `count` sockets that listen on `addr`, and the address with the port that it came to.
///
/// # Errors
/// [`BindError`], also if another process listens there.
pub(super) fn bind(addr: SocketAddr, count: usize, backlog: i32) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let fail = |source| BindError { addr, source };
    if addr.port() != 0 {
        probe(addr).map_err(fail)?;
    }
    let first = listen(addr, backlog).map_err(fail)?;
    let bound = first.local_addr().map_err(fail)?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(listen(bound, backlog).map_err(fail)?);
    }
    Ok((bound, listeners))
}

/// Fails if the address is taken. `SO_REUSEPORT` would let a second node, started by mistake, bind it too and take half
/// of the connections; this socket does not have it.
fn probe(addr: SocketAddr) -> io::Result<()> {
    let socket = open(addr)?;
    socket.bind(&addr.into())
}

fn listen(addr: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = open(addr)?;
    socket.set_reuse_port(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // What a node left in TIME_WAIT does not keep it from starting again.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::{io, net::Ipv4Addr};

    use super::bind;

    #[tokio::test]
    async fn several_sockets_share_a_free_port() {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let (bound, listeners) = bind(any, 3, 16).expect("bound");
        assert_ne!(bound.port(), 0);
        assert_eq!(listeners.len(), 3);
        for listener in listeners {
            assert_eq!(listener.local_addr().expect("an address"), bound);
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_refused() {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let (bound, _listeners) = bind(any, 1, 16).expect("bound");
        let error = bind(bound, 1, 16).expect_err("taken");
        assert_eq!(error.addr, bound);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }
}
