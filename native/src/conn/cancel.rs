//! Cancel requests: a connection of their own to the same address, with the same TLS.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::conn::dial::{Address, Route};
use crate::conn::socket::open;
use crate::error::Error;
use crate::wire::frontend;

/// How long delivering a cancel request may take, where a connection may take longer (CP-53).
const DELIVERY: Duration = Duration::from_secs(1);
/// How long after the decision to cancel an answer is awaited before the connection is given up: the delivery, and a
/// second for the server to react.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long after its delivery an answer is awaited before the request is sent again. A server that has heard of it answers
/// in a few milliseconds.
pub const AGAIN: Duration = Duration::from_millis(200);

/// Where a cancel request goes, and what it must show.
pub struct Target {
    /// How the connection was reached.
    pub route: Route,
    /// The address that answered.
    pub address: Address,
    /// Did the connection travel encrypted? Then its key must not go out in plain text.
    pub encrypted: bool,
    /// Process number of the backend.
    pub pid: i32,
    /// Its secret key.
    pub key: Vec<u8>,
}

/// Asks the server to cancel what the target's backend runs. Returns when the server has closed the connection, which
/// it does after it has signalled the backend, or with an error when the time for that is over.
///
/// Cancel-safe: dropping the future closes the socket; the request may have been delivered.
pub async fn send(target: &Target) -> Result<(), Error> {
    let mut message = BytesMut::new();
    frontend::cancel_request(&mut message, target.pid, &target.key)?;
    let attempt = async {
        let mut stream = open(&target.route, &target.address, target.encrypted).await?;
        let delivered = async {
            stream.write_all(&message).await?;
            stream.flush().await?;
            // The server never answers a cancel request, it only hangs up.
            let mut nothing = [0; 16];
            while stream.read(&mut nothing).await? > 0 {}
            std::io::Result::Ok(())
        };
        delivered.await.map_err(|error| target.route.failed(&error))
    };
    let connect = target.route.config().connect_timeout;
    tokio::time::timeout(
        connect.map_or(DELIVERY, |limit| limit.min(DELIVERY)),
        attempt,
    )
    .await
    .unwrap_or_else(|_| {
        Err(Error::Io {
            code: "ETIMEDOUT",
            problem: "the cancel request was not delivered in time".into(),
        })
    })
}
