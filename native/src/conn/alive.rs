//! Does a server that owes an answer still answer anybody? TCP alone does not tell: a frozen one acknowledges every byte.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::conn::Connection;
use crate::conn::cancel::Target;
use crate::conn::socket::open;
use crate::wire::frontend;

/// Opens a connection of its own and awaits the first byte: the end of a TLS handshake, or the answer to SSLRequest.
///
/// Cancel-safe: dropping the future closes the socket.
pub async fn answers(target: &Target, within: Duration) -> bool {
    let question = async {
        let mut stream = open(&target.route, &target.address, target.encrypted)
            .await
            .ok()?;
        if target.encrypted {
            return Some(());
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request).await.ok()?;
        stream.flush().await.ok()?;
        let read = stream.read(&mut [0; 1]).await.ok()?;
        (read > 0).then_some(())
    };
    matches!(tokio::time::timeout(within, question).await, Ok(Some(())))
}

impl Connection {
    /// How long it has owed an answer without sending a byte; `None` when it owes none.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        let state = self.lock();
        let asked = state.exchange.asked()?;
        let heard = state.active.0.max(asked);
        Some(now.saturating_duration_since(heard))
    }

    /// Where it leads to.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
}
