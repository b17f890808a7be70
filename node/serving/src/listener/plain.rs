//! A socket without TLS: content that lies in memory from which the kernel can send it is not copied.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// A connection on which bytes go as they are.
#[derive(Debug)]
pub(super) struct PlainSocket(TcpStream);

impl PlainSocket {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self(socket)
    }

    fn poll_send(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || ncore_pages::send(&self.0, pieces)) {
                // It was ready no more, which is noted now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for PlainSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for PlainSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::IoSlice, time::Duration};

    use bytes::Bytes;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::sleep,
    };

    use super::PlainSocket;

    /// A reader that is slow at first, so that what is written comes in many parts.
    #[tokio::test]
    async fn all_arrives_in_its_order_also_at_a_slow_reader() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let mut reader = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connects");
        let mut socket = PlainSocket::new(listener.accept().await.expect("accepted").0);
        let pattern = |seed: usize| (0..1_000_000).map(|at: usize| (at * 31 + seed).to_le_bytes()[0]).collect::<Vec<u8>>();
        let mut expected = Vec::new();
        let writing = async move {
            for seed in 0..20 {
                let content = ncore_pages::copy(&pattern(seed)).expect("a block");
                let mut rest = [Bytes::from_static(b"head"), content];
                while rest.iter().any(|piece| !piece.is_empty()) {
                    let mut taken = socket.write_vectored(&rest.each_ref().map(|piece| IoSlice::new(piece))).await.expect("written");
                    assert!(taken > 0);
                    for piece in &mut rest {
                        let now = taken.min(piece.len());
                        drop(piece.split_to(now));
                        taken -= now;
                    }
                }
            }
            socket.shutdown().await.expect("ended");
        };
        let reading = async {
            let mut read = Vec::new();
            for _ in 0..20 {
                sleep(Duration::from_millis(2)).await;
                let mut piece = vec![0; 10_000];
                let taken = reader.read(&mut piece).await.expect("bytes");
                read.extend_from_slice(&piece[..taken]);
            }
            reader.read_to_end(&mut read).await.expect("the rest");
            read
        };
        let ((), read) = tokio::join!(writing, reading);
        for seed in 0..20 {
            expected.extend_from_slice(b"head");
            expected.extend(pattern(seed));
        }
        assert!(read == expected, "what arrived is not what was sent");
    }
}
