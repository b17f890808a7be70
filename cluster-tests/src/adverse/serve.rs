//! One connection of an origin: reads a request, does what is to be done for it, and reads the next one.

use super::asked::Framing;
use super::script::Step;
use super::{Asked, State};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The longest request that is read, in bytes.
const LONGEST: usize = 8 << 20;

/// What becomes of a connection after a script.
enum Then {
    NextRequest,
    End,
}

pub(super) async fn connection(mut socket: TcpStream, state: Arc<State>) {
    let number = state.connections.fetch_add(1, Ordering::AcqRel);
    let _ = socket.set_nodelay(true);
    let mut unread = Vec::new();
    for earlier in 0.. {
        let Ok(Some(mut asked)) = request(&mut socket, &mut unread).await else { return };
        asked.connection = (number, earlier);
        asked.turn = {
            let mut turns = state.turns.lock();
            let turn = turns.entry(asked.target.clone()).or_default();
            *turn += 1;
            *turn - 1
        };
        let script = (state.answer)(&asked);
        state.asked.lock().push(Arc::new(asked));
        for step in script.steps {
            match perform(&mut socket, step).await {
                Ok(Then::NextRequest) => {}
                Ok(Then::End) | Err(_) => return,
            }
        }
    }
}

async fn perform(socket: &mut TcpStream, step: Step) -> io::Result<Then> {
    match step {
        Step::Send(bytes) => socket.write_all(&bytes).await?,
        Step::Flood(bytes) => loop {
            socket.write_all(&bytes).await?;
        },
        Step::Stream { source, from, to, piece, pause } => {
            let mut at = from;
            while at < to {
                let length = usize::try_from(to - at).map_or(piece, |left| piece.min(left));
                let bytes = source.at(at, length);
                socket.write_all(&bytes).await?;
                at += bytes.len() as u64;
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        }
        Step::Hold(gate) => tokio::select! {
            () = gate.pass() => {}
            () = ended(socket) => return Ok(Then::End),
        },
        Step::Stall => {
            ended(socket).await;
            return Ok(Then::End);
        }
        Step::Close => {
            socket.shutdown().await?;
            return Ok(Then::End);
        }
        Step::Reset => {
            socket.set_zero_linger()?;
            return Ok(Then::End);
        }
    }
    Ok(Then::NextRequest)
}

/// Waits until the other side has ended the connection.
async fn ended(socket: &TcpStream) {
    let mut byte = [0; 1];
    while socket.peek(&mut byte).await.is_ok_and(|bytes| bytes > 0) {
        // There is something to read that nobody reads here: only an error tells the end then.
        sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The next request; `None` at the end of the connection.
async fn request(socket: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let end = loop {
        if let Some(end) = find(unread, b"\r\n\r\n") {
            break end + 4;
        }
        if unread.len() > LONGEST || !more(socket, unread).await? {
            return Ok(None);
        }
    };
    let head: Vec<u8> = unread.drain(..end).collect();
    let mut asked = Asked::head(&head);
    match asked.framing() {
        Framing::Length(length) => {
            while unread.len() < length.min(LONGEST) {
                if !more(socket, unread).await? {
                    return Ok(None);
                }
            }
            asked.body = unread.drain(..length.min(unread.len())).collect();
        }
        Framing::Chunked => {
            while let Some(length) = chunk_size(socket, unread, &mut asked).await? {
                while unread.len() < length + 2 {
                    if !more(socket, unread).await? {
                        return Ok(None);
                    }
                }
                asked.body.extend(unread.drain(..length));
                if unread.drain(..2).ne(*b"\r\n") {
                    asked.flaws.push("a chunk that does not end where it says".to_owned());
                }
                if length == 0 {
                    break;
                }
            }
        }
    }
    Ok(Some(asked))
}

/// The line before a chunk.
async fn chunk_size(socket: &mut TcpStream, unread: &mut Vec<u8>, asked: &mut Asked) -> io::Result<Option<usize>> {
    let end = loop {
        if let Some(end) = find(unread, b"\r\n") {
            break end;
        }
        if unread.len() > LONGEST || !more(socket, unread).await? {
            return Ok(None);
        }
    };
    let line: Vec<u8> = unread.drain(..end + 2).take(end).collect();
    let line = String::from_utf8_lossy(&line).into_owned();
    match usize::from_str_radix(&line, 16) {
        Ok(length) if length <= LONGEST && line.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Some(length)),
        _ => {
            asked.flaws.push(format!("the line {line:?} before a chunk"));
            Ok(None)
        }
    }
}

async fn more(socket: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<bool> {
    Ok(socket.read_buf(unread).await? > 0)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
