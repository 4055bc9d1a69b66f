//! How far a standby replays behind: asked in front of a read, in its packet, like the fence.

use std::time::{Duration, Instant};

use crate::wire::Row;

/// Milliseconds. A standby that has replayed all it has received is not late while somebody sends; otherwise it is as late
/// as the last transaction it has replayed is old. Functions that every role may call.
pub const QUESTION: &str = "select case when not pg_catalog.pg_is_in_recovery() then 0 \
    when pg_catalog.pg_last_wal_receive_lsn() operator(pg_catalog.=) pg_catalog.pg_last_wal_replay_lsn() \
    and exists (select from pg_catalog.pg_stat_get_wal_receiver() as r where r.pid is not null) then 0 \
    else pg_catalog.ceil(extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) \
    pg_catalog.pg_last_xact_replay_timestamp()) operator(pg_catalog.*) 1000) end";

/// Reads the answer; one that does not say is never taken for short.
#[must_use]
pub fn read(cell: Option<&str>) -> Duration {
    let ms = cell.and_then(|text| text.parse::<i64>().ok());
    // Clocks differ: a standby ahead of its primary is not early.
    ms.map_or(Duration::MAX, |ms| {
        Duration::from_millis(ms.max(0).unsigned_abs())
    })
}

/// The lag of one connection's server.
#[derive(Debug)]
pub struct Lag {
    /// The most that is allowed.
    limit: Option<Duration>,
    known: Option<(Duration, Instant)>,
    /// Nobody was told of what is known.
    is_news: bool,
}

impl Lag {
    /// Nothing is known, and so nothing held against the server: it was asked when the connection was opened.
    #[must_use]
    pub const fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            known: None,
            is_news: false,
        }
    }

    /// Does it matter?
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Is it short enough, as far as is known?
    #[must_use]
    pub fn is_met(&self) -> bool {
        let (limit, lag) = (self.limit, self.known.map(|(lag, _)| lag));
        limit.zip(lag).is_none_or(|(limit, lag)| lag <= limit)
    }

    /// Must it be asked for again? An answer holds for a tenth of the limit.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.limit.is_some_and(|limit| {
            let age = self.known.map(|(_, at)| now.saturating_duration_since(at));
            age.is_none_or(|age| age >= limit / 10)
        })
    }

    /// The answer to the question, as a row.
    pub(super) fn answered(&mut self, body: &[u8]) -> Result<(), crate::error::Error> {
        let cell = Row::new(body)?.next_column()?.flatten();
        let lag = read(cell.and_then(|bytes| std::str::from_utf8(bytes).ok()));
        self.known = Some((lag, Instant::now()));
        self.is_news = true;
        Ok(())
    }

    /// What was answered since the last call.
    pub(super) fn take_news(&mut self) -> Option<Duration> {
        let is_news = std::mem::take(&mut self.is_news);
        self.known.filter(|_| is_news).map(|(lag, _)| lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_never_short() {
        assert_eq!(read(Some("0")), Duration::ZERO);
        assert_eq!(read(Some("-7")), Duration::ZERO);
        assert_eq!(read(Some("1500")), Duration::from_millis(1500));
        for nothing in [None, Some(""), Some("x")] {
            assert_eq!(read(nothing), Duration::MAX);
        }
    }

    #[test]
    fn an_answer_holds_for_a_tenth_of_the_limit() {
        let mut lag = Lag::new(Some(Duration::from_secs(1)));
        let now = Instant::now();
        assert!(lag.is_due(now) && lag.is_met());
        lag.known = Some((Duration::from_millis(1001), now));
        assert!(!lag.is_met());
        assert!(!lag.is_due(now + Duration::from_millis(99)));
        assert!(lag.is_due(now + Duration::from_millis(100)));
        let free = Lag::new(None);
        assert!(!free.is_due(now) && free.is_met() && !free.is_limited());
    }
}
