//! Pages over HTTP/1.1.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use signet_api::probe::{Host, MAX_PAGE_BYTES, Page, ProbeError};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::{NetworkProbe, Ports, failed, in_time, tls};

const MAX_REDIRECTS: usize = 10;
const MAX_URL_BYTES: usize = 2000;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

pub(super) async fn page(
    probe: &NetworkProbe,
    host: &Host,
    path: &str,
    resolver: Option<SocketAddr>,
) -> Result<Page, ProbeError> {
    let host = match host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.clone(),
    };
    let mut url = Url::parse(&format!("http://{host}{path}"))
        .map_err(|_| failed(format!("{host} cannot be called")))?;
    for _ in 0..=MAX_REDIRECTS {
        match in_time(fetch(probe, &url, resolver)).await? {
            Fetched::Page(page) => return Ok(page),
            Fetched::Redirect(location) => url = redirected(&url, &location)?,
        }
    }
    Err(failed(format!("more than {MAX_REDIRECTS} redirects")))
}

enum Fetched {
    Page(Page),
    Redirect(String),
}

fn redirected(from: &Url, location: &str) -> Result<Url, ProbeError> {
    if location.len() > MAX_URL_BYTES {
        return Err(failed("redirected to a URL that is too long"));
    }
    let to = from
        .join(location)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    to.ok_or_else(|| failed("redirected to something that is no URL of http or https"))
}

async fn fetch(
    probe: &NetworkProbe,
    url: &Url,
    resolver: Option<SocketAddr>,
) -> Result<Fetched, ProbeError> {
    let host = match url.host() {
        Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
        Some(url::Host::Ipv4(address)) => Host::Address(address.into()),
        Some(url::Host::Ipv6(address)) => Host::Address(address.into()),
        None => return Err(failed("URL without a host")),
    };
    let is_tls = url.scheme() == "https";
    let Ports { http, tls } = probe.ports;
    let port = url.port().unwrap_or(if is_tls { tls } else { http });
    if port != http && port != tls {
        return Err(failed(format!(
            "redirected to port {port}, which is not looked at"
        )));
    }
    let stream = probe.connect(&host, port, resolver).await?;
    if is_tls {
        let stream = tls::with_anybody(stream, &host).await?;
        exchange(TokioIo::new(stream), url).await
    } else {
        exchange(TokioIo::new(stream), url).await
    }
}

async fn exchange<S>(stream: TokioIo<S>, url: &Url) -> Result<Fetched, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let no_http = |_| failed("the host does not speak HTTP");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(stream)
        .await
        .map_err(no_http)?;
    // Ends with this exchange, whatever the host does.
    let connection = tokio::spawn(connection);
    let _ended = AbortOnDrop(connection.abort_handle());
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let request = hyper::Request::builder()
        .uri(target)
        .header(HOST, host_header(url))
        .header(USER_AGENT, concat!("signet/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| failed("the URL cannot be called"))?;
    let response = sender.send_request(request).await.map_err(no_http)?;
    let status = response.status();
    if status.is_redirection()
        && let Some(location) = response.headers().get(LOCATION)
    {
        let location = location
            .to_str()
            .map_err(|_| failed("redirected to something that is no URL of http or https"))?;
        return Ok(Fetched::Redirect(location.to_owned()));
    }
    Ok(Fetched::Page(Page {
        status: status.as_u16(),
        body: body(response.into_body()).await?,
    }))
}

fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn body(mut body: Incoming) -> Result<Bytes, ProbeError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| failed("the page ends too early"))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if all.len() + chunk.len() > MAX_PAGE_BYTES {
            let text = format!("the page is longer than {MAX_PAGE_BYTES} bytes");
            return Err(failed(text));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
