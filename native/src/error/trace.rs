//! What a transaction has shown of itself, by which its outcome can be found out later (CP-4).

use std::sync::Arc;

/// A transaction's id, and where its server was when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub xid: u64,
    /// Where the log ended behind what it had written.
    pub position: u64,
    /// Is the position behind all that it has written? If not, it is behind a part, and says nothing of the rest after a crash.
    pub is_whole: bool,
    /// The timeline of that position.
    pub timeline: u32,
    /// When the server was started, in microseconds since 1970.
    pub started: i64,
    /// The end of the server's last recovery, by which it is known from itself after a crash that it survived; `None`: it
    /// was started after a clean shutdown.
    pub recovered: Option<u64>,
    /// System identifier.
    pub system: Arc<str>,
    /// The server had said that it is being shut down.
    pub announced: bool,
    /// What was found out about it, in a word; `None`: nobody has asked.
    pub status: Option<Box<str>>,
}

impl Trace {
    /// The position as the server writes it.
    #[must_use]
    pub fn lsn(&self) -> String {
        lsn(self.position)
    }

    /// The end of the last recovery as the server writes it.
    #[must_use]
    pub fn recovered_lsn(&self) -> Option<String> {
        self.recovered.map(lsn)
    }
}

fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xffff_ffff)
}
