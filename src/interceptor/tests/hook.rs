//! A listener that does what its script says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// What a script does, one after the other; at its end the connection is closed.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads the whole request. Scripts that do not begin with [`Step::Deaf`] do this first.
    Hear,
    /// Does not read the request.
    Deaf,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes over and over until the other side has had enough.
    Forever(Vec<u8>),
    /// Sends the bytes one by one, slowly.
    Trickle(Vec<u8>),
    /// Does nothing until the other side goes away.
    Hang,
    /// Does nothing until [`Hook::release`].
    Wait,
    /// Closes with RST instead of FIN.
    Reset,
}

impl Step {
    pub(super) fn send(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }
}

/// A request as the endpoint received it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {}", self.head));
        assert!(values.next().is_none(), "{name} twice in {}", self.head);
        value
    }
}

/// The endpoint of an interceptor.
pub(super) struct Hook {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Received>>>,
    waiting: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Hook {
    /// The n-th connection follows the n-th script; further ones follow the last.
    pub(super) async fn scripted(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts: Vec<_> = scripts.into_iter().collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let waiting = Arc::new(Semaphore::new(0));
        let (log, gate) = (seen.clone(), waiting.clone());
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let script = scripts.get(connection).or(scripts.last()).unwrap().clone();
                tokio::spawn(play(stream, script, log.clone(), gate.clone()));
            }
        });
        Self {
            address,
            seen,
            waiting,
            task,
        }
    }

    /// Every request gets these bytes.
    pub(super) async fn answering(bytes: &str) -> Self {
        Self::scripted([vec![Step::send(bytes)]]).await
    }

    /// Every request gets 200 and this document.
    pub(super) async fn saying(document: Value) -> Self {
        Self::answering(&json_answer(&document.to_string())).await
    }

    /// An address that refuses connections.
    pub(super) async fn refusing() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/hook", listener.local_addr().unwrap())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?tenant=a", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.seen.lock().unwrap().clone()
    }

    /// Lets so many [`Step::Wait`] go on.
    pub(super) fn release(&self, scripts: usize) {
        self.waiting.add_permits(scripts);
    }

    /// Returns when so many requests have been received.
    pub(super) async fn heard(&self, requests: usize) {
        let enough = async {
            while self.requests().len() < requests {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), enough)
            .await
            .unwrap();
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 200 with a body of JSON, after which the connection is closed.
pub(super) fn json_answer(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn play(mut stream: TcpStream, script: Vec<Step>, log: Arc<Mutex<Vec<Received>>>, gate: Arc<Semaphore>) {
    let deaf = matches!(script.first(), Some(Step::Deaf));
    let opening = if deaf { None } else { Some(Step::Hear) };
    for step in opening.into_iter().chain(script) {
        let done = match step {
            Step::Hear => match hear(&mut stream).await {
                Some(received) => {
                    log.lock().unwrap().push(received);
                    Ok(())
                }
                None => return,
            },
            Step::Deaf => Ok(()),
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Forever(bytes) => loop {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            },
            Step::Trickle(bytes) => {
                let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
                for byte in bytes {
                    tick.tick().await;
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
                Ok(())
            }
            Step::Hang => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            Step::Wait => {
                gate.acquire().await.unwrap().forget();
                Ok(())
            }
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        };
        if done.is_err() {
            return;
        }
    }
    // Unread bytes would turn the close into a reset.
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn hear(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        if let Some(end) = end {
            let received = Received {
                head: String::from_utf8(bytes[..end].to_vec()).unwrap(),
                body: bytes[end + 4..].to_vec(),
            };
            if received.body.len() == received.header("content-length").parse::<usize>().unwrap() {
                return Some(received);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
