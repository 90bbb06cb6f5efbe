//! HTTP/1.1 with as little work as possible: whatever the generator spends, both servers on the
//! same machine lack.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Error;

/// The bytes of one request, ready to be sent again and again.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    typed_request(method, path, token, "application/json", body)
}

/// With a content type of its own.
pub(crate) fn typed_request(
    method: &str,
    path: &str,
    token: &str,
    content_type: &str,
    body: &[u8],
) -> Vec<u8> {
    let token = match token {
        "" => String::new(),
        token => format!("X-Vault-Token: {token}\r\n"),
    };
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// One connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Of the current answer.
    received: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(8192),
            body: Vec::with_capacity(8192),
        })
    }

    /// A new connection to the same server.
    pub(crate) async fn reopen(&mut self) -> Result<(), Error> {
        *self = Self::open(self.stream.peer_addr()?).await?;
        Ok(())
    }

    /// Sends a request and gives the body of its answer.
    ///
    /// # Errors
    /// Any status but success, with the body's text.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<&[u8], Error> {
        self.stream.write_all(request).await?;
        self.received.clear();
        self.body.clear();
        let head_end = loop {
            if let Some(end) = position(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            self.receive().await?;
        };
        let head = Head::parse(self.received.get(..head_end).unwrap_or_default())?;
        match head.body {
            BodyLength::Chunked => self.read_chunks(head_end).await?,
            BodyLength::Known(length) => {
                while self.received.len() < head_end + length {
                    self.receive().await?;
                }
                let body = self.received.get(head_end..head_end + length);
                self.body.extend_from_slice(body.unwrap_or_default());
            }
        }
        if (200..300).contains(&head.status) {
            return Ok(&self.body);
        }
        let line = request.split(|byte| *byte == b'\r').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        let body = String::from_utf8_lossy(&self.body);
        Err(format!("{line}: {} {body}", head.status).into())
    }

    /// As [`Self::send`], with the answer as JSON; `Null` when it is empty.
    pub(crate) async fn json(&mut self, request: &[u8]) -> Result<Value, Error> {
        let body = self.send(request).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(body)?)
    }

    async fn receive(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<(), Error> {
        loop {
            let size = loop {
                let rest = self.received.get(at..).unwrap_or_default();
                if let Some(end) = position(rest, b"\r\n") {
                    let digits = std::str::from_utf8(rest.get(..end).unwrap_or_default())?;
                    at += end + 2;
                    break usize::from_str_radix(digits, 16)?;
                }
                self.receive().await?;
            };
            while self.received.len() < at + size + 2 {
                self.receive().await?;
            }
            let chunk = self.received.get(at..at + size).unwrap_or_default();
            self.body.extend_from_slice(chunk);
            at += size + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

struct Head {
    status: u16,
    body: BodyLength,
}

enum BodyLength {
    Chunked,
    Known(usize),
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, Error> {
        let mut lines = std::str::from_utf8(head)?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.ok_or("no status in the answer")?.parse()?;
        let mut body = BodyLength::Known(0);
        for line in lines {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                body = BodyLength::Known(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = BodyLength::Chunked;
            }
        }
        Ok(Self { status, body })
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
