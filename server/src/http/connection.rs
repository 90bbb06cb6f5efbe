//! How long a connection may do nothing.
//!
//! A client that sends a byte now and then, or never reads its answers, costs a connection. Three
//! clocks bound that: from the first byte of a request to the end of its headers, between requests,
//! and while an answer waits to be taken. One that sends much and asks for nothing costs computation:
//! what it may send between requests is bounded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// From the first byte of a request to the end of its headers; with HTTP/2 of the first request only.
    pub(crate) header_read: Duration,
    /// Without a request.
    pub(crate) idle: Duration,
    /// With bytes to send that the client does not take.
    pub(crate) write_stall: Duration,
    /// What may come without a request being complete or under way: its headers, and HTTP/2's own frames.
    pub(crate) idle_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(30),
            idle: Duration::from_mins(5),
            write_stall: Duration::from_mins(5),
            // More than what may be under way of a body that was refused.
            idle_bytes: 4 * 1024 * 1024,
        }
    }
}

impl ConnectionLimits {
    /// How often to look whether a limit has passed.
    pub(crate) fn check_interval(&self) -> Duration {
        let shortest = self.header_read.min(self.idle);
        (shortest / 3).clamp(Duration::from_millis(20), Duration::from_secs(10))
    }
}

/// What goes on at a connection. Times are milliseconds since it was accepted.
#[derive(Debug)]
pub(crate) struct Activity {
    accepted: Instant,
    requests: AtomicUsize,
    idle_since: AtomicU64,
    /// 0: no headers are under way.
    headers_since: AtomicU64,
    is_http2: AtomicBool,
    has_asked: AtomicBool,
    idle_bytes: AtomicUsize,
}

impl Activity {
    pub(crate) fn new(accepted: Instant) -> Arc<Self> {
        Arc::new(Self {
            accepted,
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            headers_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            idle_bytes: AtomicUsize::new(0),
        })
    }

    /// A request's headers are complete; it is under way until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.headers_since.store(0, Ordering::SeqCst);
        self.has_asked.store(true, Ordering::SeqCst);
        self.idle_bytes.store(0, Ordering::SeqCst);
        RequestGuard(self.clone())
    }

    /// Has the client done nothing, or too slowly, for too long?
    pub(crate) fn is_overdue(&self, now: Instant, limits: &ConnectionLimits) -> bool {
        if self.requests.load(Ordering::SeqCst) > 0 {
            return false;
        }
        let now = self.millis(now);
        let since = |start: u64| Duration::from_millis(now.saturating_sub(start));
        let headers = self.headers_since.load(Ordering::SeqCst);
        // Later in HTTP/2 what comes between requests may be pings.
        let is_waiting =
            !self.is_http2.load(Ordering::SeqCst) || !self.has_asked.load(Ordering::SeqCst);
        let slow_headers = headers > 0 && is_waiting && since(headers) >= limits.header_read;
        slow_headers || since(self.idle_since.load(Ordering::SeqCst)) >= limits.idle
    }

    /// How much has come since the last request.
    fn received(&self, bytes: &[u8], now: Instant) -> usize {
        if self.requests.load(Ordering::SeqCst) > 0 {
            return 0;
        }
        let millis = self.millis(now).max(1);
        let first = self
            .headers_since
            .compare_exchange(0, millis, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if first && bytes.starts_with(HTTP2_PREFACE) {
            self.is_http2.store(true, Ordering::SeqCst);
        }
        let before = self.idle_bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        before.saturating_add(bytes.len())
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.accepted).as_millis()).unwrap_or(u64::MAX)
    }
}

const HTTP2_PREFACE: &[u8] = b"PRI ";

#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let activity = &self.0;
        activity
            .idle_since
            .store(activity.millis(Instant::now()), Ordering::SeqCst);
        activity.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream that keeps [`Activity`] up to date, and fails when nobody takes what is written or too much comes
/// that is no request.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: ConnectionLimits,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, limits: ConnectionLimits) -> Self {
        Self {
            stream,
            activity,
            limits,
            stalled: None,
        }
    }

    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let stall = self.limits.write_stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() && self.activity.received(new, Instant::now()) > self.limits.idle_bytes {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.progress(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn slow_headers_are_overdue_and_slow_answers_are_not() {
        let start = Instant::now();
        let limits = ConnectionLimits {
            header_read: 30 * SECOND,
            idle: 300 * SECOND,
            write_stall: 300 * SECOND,
            idle_bytes: 100,
        };
        let activity = Activity::new(start);
        assert!(!activity.is_overdue(start + 299 * SECOND, &limits));
        assert!(activity.is_overdue(start + 300 * SECOND, &limits));
        activity.received(b"GET", start + 10 * SECOND);
        assert!(!activity.is_overdue(start + 39 * SECOND, &limits));
        assert!(activity.is_overdue(start + 40 * SECOND, &limits));
        let guard = activity.request();
        assert!(!activity.is_overdue(start + 1000 * SECOND, &limits));
        drop(guard);
        assert!(activity.is_overdue(start + 1000 * SECOND, &limits));
    }

    #[tokio::test]
    async fn frames_between_requests_of_http2_are_no_headers() {
        let start = Instant::now();
        let limits = ConnectionLimits::default();
        let activity = Activity::new(start);
        activity.received(HTTP2_PREFACE, start + SECOND);
        assert!(!activity.is_overdue(start + 30 * SECOND, &limits));
        assert!(activity.is_overdue(start + 31 * SECOND, &limits));
        drop(activity.request());
        activity.received(b"ping", start + SECOND);
        assert!(!activity.is_overdue(start + 60 * SECOND, &limits));
        assert!(activity.is_overdue(start + 301 * SECOND, &limits));
    }

    #[tokio::test]
    async fn much_that_is_no_request_ends_the_connection() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let limits = ConnectionLimits {
            idle_bytes: 100,
            ..ConnectionLimits::default()
        };
        let activity = Activity::new(Instant::now());
        let (mut client, server) = tokio::io::duplex(1000);
        let mut server = Watched::new(server, activity.clone(), limits);
        let mut buffer = [0; 60];
        let guard = activity.request();
        client.write_all(&[0; 180]).await.unwrap();
        for _ in 0..3 {
            server.read_exact(&mut buffer).await.unwrap();
        }
        drop(guard);
        client.write_all(&[0; 120]).await.unwrap();
        server.read_exact(&mut buffer).await.unwrap();
        let error = server.read_exact(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
