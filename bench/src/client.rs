//! A closed-loop load generator: each connection sends its next request when the last is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Error;

/// One request, to be sent again and again.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Empty for none.
    pub(crate) token: String,
    pub(crate) body: Bytes,
}

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) request: Template,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
}

pub(crate) struct Done {
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Done {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let position = self.latencies.len() * percent / 100;
        self.latencies.get(position).copied().unwrap_or_default()
    }
}

impl Load {
    pub(crate) async fn run(&self) -> Result<Done, Error> {
        // Warm caches and connections are part of neither server's figure.
        send(&mut connect(self.address).await?, &self.request).await?;
        let started = Instant::now();
        let deadline = started + self.duration;
        let mut workers = Vec::new();
        for _ in 0..self.connections {
            let (address, request) = (self.address, self.request.clone());
            workers.push(tokio::spawn(async move {
                let mut connection = connect(address).await?;
                let mut latencies = Vec::new();
                while Instant::now() < deadline {
                    let sent = Instant::now();
                    send(&mut connection, &request).await?;
                    latencies.push(sent.elapsed());
                }
                Ok::<_, Error>(latencies)
            }));
        }
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.extend(worker.await??);
        }
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        Ok(Done { latencies, elapsed })
    }
}

pub(crate) type Connection = http1::SendRequest<Full<Bytes>>;

pub(crate) async fn connect(address: SocketAddr) -> Result<Connection, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The answer's JSON; anything but success is an error.
pub(crate) async fn send(connection: &mut Connection, template: &Template) -> Result<Value, Error> {
    let mut request = Request::builder()
        .method(template.method)
        .uri(&template.path)
        .header("Host", "localhost");
    if !template.token.is_empty() {
        request = request.header("X-Vault-Token", &template.token);
    }
    let request = request.body(Full::new(template.body.clone()))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body);
        return Err(format!("{} {}: {status} {text}", template.method, template.path).into());
    }
    if template.body.is_empty() || body.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(&body)?)
}
