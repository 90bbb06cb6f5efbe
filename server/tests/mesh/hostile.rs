//! Clients that mean harm or are broken: they are dropped, and others are served meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::agent::{Agent, Ask, health, p256, ztunnel_csr};
use crate::answer::Answer;
use crate::fixture::{Mesh, WEB};

type Stream = TlsStream<TcpStream>;

/// More than the server lets anybody hold up handshakes with.
const SILENT: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_end_their_handshake_are_dropped_and_nobody_waits_for_them() {
    let mesh = Mesh::start("").await;
    let mut silent = Vec::new();
    for index in 0..SILENT {
        let mut stream = TcpStream::connect(mesh.address).await.unwrap();
        if index % 2 == 0 {
            // The first bytes of a record that never ends.
            stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        }
        silent.push(stream);
    }
    others_are_served(&mesh).await;
    let open = |stream: &TcpStream| {
        let nothing_yet = stream.try_read(&mut [0]);
        nothing_yet.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert!(silent.iter().all(open), "others were served afterwards");
    for mut stream in silent {
        until_closed(&mut stream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_end_their_first_request_are_dropped() {
    let mesh = Mesh::start("").await;
    let agent = Agent::new(&mesh);
    let mut half_a_preface = agent.stream().await.unwrap();
    half_a_preface.write_all(&PREFACE[..7]).await.unwrap();
    let mut half_the_headers = opened(&agent).await;
    let begun = frame(HEADERS, 0, 1, &request_headers()[..1]);
    half_the_headers.write_all(&begun).await.unwrap();
    let mut half_a_frame = opened(&agent).await;
    let begun = frame(HEADERS, END_HEADERS, 1, &request_headers());
    half_a_frame.write_all(&begun[..20]).await.unwrap();
    let mut nothing_asked = opened(&agent).await;
    others_are_served(&mesh).await;
    for stream in [
        &mut half_a_preface,
        &mut half_the_headers,
        &mut half_a_frame,
        &mut nothing_asked,
    ] {
        until_closed(stream).await;
    }
    others_are_served(&mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_connection_and_memory_stays_bounded() {
    const MIB: usize = 1024;
    let mesh = Arc::new(Mesh::start("").await);
    others_are_served(&mesh).await;
    let before = mesh.server.peak_memory_kib();
    for flood in [
        Flood::Pings,
        Flood::PingsWithoutReading,
        Flood::Settings,
        Flood::WindowUpdates,
        Flood::Resets,
        Flood::HeadersWithoutEnd,
        Flood::UnknownFrames,
        Flood::LongFrame,
        Flood::OtherProtocol,
    ] {
        let over = Arc::new(AtomicBool::new(false));
        let flooding = tokio::spawn({
            let (mesh, over) = (mesh.clone(), over.clone());
            async move {
                let agent = Agent::new(&mesh);
                let mut connections = 0;
                while connections < 4 || !over.load(Ordering::Relaxed) {
                    flood.run(&agent).await;
                    connections += 1;
                }
            }
        });
        others_are_served(&mesh).await;
        over.store(true, Ordering::Relaxed);
        flooding.await.unwrap();
    }
    others_are_served(&mesh).await;
    let grown = mesh.server.peak_memory_kib() - before;
    assert!(grown < 16 * MIB, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_says_it_is_huge_is_refused_before_it_comes() {
    let mesh = Mesh::start("").await;
    for (what, prefix, status) in [
        ("4 GiB", [0, 0xff, 0xff, 0xff, 0xff], "8"),
        ("compressed", [1, 0, 0, 0, 1], "13"),
    ] {
        let stream = Agent::new(&mesh).stream().await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::post(format!("https://mesh{PATH}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(axum::body::Body::from(prefix.to_vec()))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], status, "{what}");
    }
    others_are_served(&mesh).await;
}

async fn others_are_served(mesh: &Mesh) {
    let agent = Agent::new(mesh);
    let ask = Ask::new(&ztunnel_csr(WEB, &p256())).token(&mesh.token("web", "front"));
    for _ in 0..5 {
        Answer::check(agent.ask(&ask).await.unwrap(), WEB);
        assert!(agent.is_serving().await.unwrap());
    }
    let channel = agent.connect().await.unwrap();
    assert!(health(channel, "").await.unwrap());
    assert_eq!(mesh.server.get("", "/v1/sys/health").0, 200);
}

/// Comes back when the server has ended the connection.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut buffer = vec![0; 16 * 1024];
    while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
}

#[derive(Clone, Copy, Debug)]
enum Flood {
    Pings,
    PingsWithoutReading,
    Settings,
    WindowUpdates,
    Resets,
    HeadersWithoutEnd,
    UnknownFrames,
    LongFrame,
    OtherProtocol,
}

impl Flood {
    /// Until the server ends the connection.
    async fn run(self, agent: &Agent) {
        const MOST_BYTES: usize = 64 * 1024 * 1024;
        let stream = if matches!(self, Self::OtherProtocol) {
            agent.stream().await.unwrap()
        } else {
            opened(agent).await
        };
        let (reader, mut writer) = tokio::io::split(stream);
        // Whoever does not read is sent nothing any more, and a pong is due for each ping.
        let reading = (!matches!(self, Self::PingsWithoutReading)).then(|| {
            tokio::spawn(async move {
                let mut reader: ReadHalf<Stream> = reader;
                until_closed(&mut reader).await;
            })
        });
        let mut written = 0;
        let mut round = 0;
        loop {
            let bytes = self.bytes(round);
            round += 1;
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                break;
            }
            written += bytes.len();
            assert!(written < MOST_BYTES, "{self:?} is taken without end");
            if reading.as_ref().is_some_and(JoinHandle::is_finished) {
                break;
            }
            if matches!(self, Self::LongFrame) {
                // It is refused for what it says of itself.
                tokio::task::yield_now().await;
            }
        }
        if let Some(reading) = reading {
            reading.await.unwrap();
        }
    }

    /// What is sent in one go.
    fn bytes(self, round: u32) -> Vec<u8> {
        let many = |one: Vec<u8>| one.repeat(500);
        match self {
            Self::Pings | Self::PingsWithoutReading => many(frame(PING, 0, 0, &[7; 8])),
            Self::Settings => many(frame(SETTINGS, 0, 0, &[])),
            Self::WindowUpdates => many(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
            Self::UnknownFrames => many(frame(99, 0, 0, &[7; 8])),
            Self::Resets => (0..500)
                .flat_map(|index| {
                    let stream = (round * 500 + index) * 2 + 1;
                    let mut both = frame(HEADERS, END_HEADERS, stream, &request_headers());
                    both.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                    both
                })
                .collect(),
            Self::HeadersWithoutEnd => {
                let more = literal("x", &"y".repeat(100));
                let kind = if round == 0 { HEADERS } else { CONTINUATION };
                frame(kind, 0, 1, &more.repeat(100))
            }
            Self::LongFrame => {
                let mut long = frame(DATA, 0, 1, &[0; 1000]);
                long[0] = 0x7f;
                long
            }
            Self::OtherProtocol => b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n".to_vec(),
        }
    }
}

/// With the beginning of HTTP/2 behind it.
async fn opened(agent: &Agent) -> Stream {
    let mut stream = agent.stream().await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    let settings = frame(SETTINGS, 0, 0, &[]);
    stream.write_all(&settings).await.unwrap();
    stream
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Of a call to the certificate service.
fn request_headers() -> Vec<u8> {
    // POST and https of the static table, then `:path`.
    let mut block = vec![0x83, 0x87, 0x04];
    block.push(u8::try_from(PATH.len()).unwrap());
    block.extend(PATH.as_bytes());
    block.extend(literal("content-type", "application/grpc"));
    block.extend(literal("te", "trailers"));
    block
}

/// A header that is added to no table.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap());
        bytes.extend(text.as_bytes());
    }
    bytes
}

const PATH: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
