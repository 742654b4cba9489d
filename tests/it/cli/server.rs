//! A server of a few lines for what commands connect to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// A request as it came.
pub(super) struct Request {
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: String,
}

/// A server that answers every request by a function of its path, and hands each one on.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Receiver<Request>,
}

impl Server {
    /// Starts; `answer` gives status and JSON for a path.
    pub(super) fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(&stream, &answer, &sender);
            }
        });
        Self { address, requests }
    }

    /// What was asked so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

/// One request, then the connection ends; one that only connects gets nothing.
fn serve(stream: &TcpStream, answer: &impl Fn(&str) -> (u16, String), sender: &Sender<Request>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let (status, json) = answer(&path);
    let body = String::from_utf8(body).ok()?;
    sender.send(Request { path, head, body }).ok()?;
    let length = json.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{json}"
    )
    .ok()
}
