//! Signals as the server understands them.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGUSR2: say how things are.
    Diagnose,
    /// SIGHUP.
    Reload,
    /// SIGINT or SIGTERM.
    Stop,
}

#[derive(Debug)]
pub(super) struct Signals {
    hangup: Stream,
    interrupt: Stream,
    terminate: Stream,
    user2: Stream,
}

impl Signals {
    /// From here on no signal ends the process by itself.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.user2.recv() => Signal::Diagnose,
        }
    }

    /// The next signal to stop.
    pub(super) async fn stop_again(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
