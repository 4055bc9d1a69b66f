//! What became of a transaction whose end nobody has heard, judged by what a server says later (CP-4).

use crate::error::Trace;

/// Asked later, on the primary of then; the status comes behind it.
const IDENTITY: &str = "system_identifier, \
    pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8), \
    (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)::pg_catalog.int8, \
    pg_catalog.pg_last_wal_replay_lsn()";

/// `16/B374D848` as a number.
#[must_use]
pub fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |hex| {
        u64::from_str_radix(hex, 16)
            .ok()
            .filter(|half| half >> 32 == 0)
    };
    Some(half(high)? << 32 | half(low)?)
}

/// The question about a transaction; without `status` only who the server is.
#[must_use]
pub fn question(trace: &Trace, with_status: bool) -> String {
    let status = if with_status {
        format!(", pg_catalog.pg_xact_status('{}')", trace.xid)
    } else {
        String::new()
    };
    format!("select {IDENTITY}{status} from pg_catalog.pg_control_system()")
}

/// Comes back once a standby has all that is committed now, if the server waits for standbys: a commit that it has found in
/// its log when it recovered has waited for none.
pub const CONFIRMATION: &str = "select case when pg_catalog.current_setting('synchronous_standby_names') operator(pg_catalog.<>) '' \
    then pg_catalog.pg_logical_emit_message(true, 'pg_berth', '') end";

/// What became of a transaction, as far as a server can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Certainly committed.
    Committed,
    /// Certainly not, now and for ever.
    Aborted,
    /// It has not ended yet.
    Open,
    /// Nobody can say.
    Unknown,
}

/// What a server says about a transaction of earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    system: Box<str>,
    timeline: u32,
    started: i64,
    /// The end of its last recovery; `None` when it was started after a clean shutdown.
    recovered: Option<u64>,
    /// `None`: too old to know.
    pub status: Option<Box<str>>,
    /// Its ids have not come that far.
    pub is_future: bool,
}

impl Testimony {
    /// Reads the answer to [`question`].
    #[must_use]
    pub fn read(row: &[Option<Box<str>>]) -> Option<Self> {
        let cell = |place: usize| row.get(place).and_then(Option::as_deref);
        Some(Self {
            system: cell(0)?.into(),
            timeline: u32::from_str_radix(cell(1)?, 16).ok()?,
            started: cell(2)?.parse().ok()?,
            recovered: cell(3).and_then(position),
            status: cell(4).map(Into::into),
            is_future: false,
        })
    }

    /// Has the server of the transaction recovered since?
    #[must_use]
    pub fn has_recovered(&self, trace: &Trace) -> bool {
        self.timeline == trace.timeline
            && (self.started, self.recovered) != (trace.started, trace.recovered)
    }

    /// The table of CP-4, from its first line to its last.
    #[must_use]
    pub fn fate(&self, trace: &Trace) -> Fate {
        // Of another system, or older than the transaction: its ids mean nothing.
        if *self.system != *trace.system || self.timeline < trace.timeline {
            return Fate::Unknown;
        }
        if self.is_future || self.status.as_deref() == Some("aborted") {
            return Fate::Aborted;
        }
        // The crash of one backend makes a server recover without a new start: only the end of its last recovery shows it.
        let is_kept = self.timeline == trace.timeline && self.started == trace.started;
        let is_same = is_kept && self.recovered == trace.recovered;
        let restarted = self.timeline == trace.timeline
            && (self.started > trace.started || is_kept && !is_same);
        let promoted = self.timeline == trace.timeline.saturating_add(1);
        let Some(status) = self
            .status
            .as_deref()
            .filter(|_| is_same || restarted || promoted)
        else {
            return Fate::Unknown;
        };
        let committed = status == "committed";
        match self.recovered {
            _ if is_same && committed => Fate::Committed,
            Some(recovered) if !is_same && recovered < trace.position => Fate::Aborted,
            _ if committed && !trace.is_whole => Fate::Unknown,
            Some(_) if committed => Fate::Committed,
            _ if status == "in progress" => Fate::Open,
            None if restarted && committed && trace.announced => Fate::Committed,
            _ => Fate::Unknown,
        }
    }
}

impl Testimony {
    /// The same server, whose ids have not come as far as the transaction's.
    #[must_use]
    pub fn before_it(self) -> Self {
        Self {
            is_future: true,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: u64 = 1000;

    fn trace() -> Trace {
        Trace {
            xid: 7,
            position: L,
            is_whole: true,
            timeline: 3,
            started: 50,
            recovered: None,
            system: "s".into(),
            announced: false,
            status: None,
        }
    }

    fn said(timeline: u32, started: i64, recovered: Option<u64>, status: &str) -> Testimony {
        Testimony {
            system: "s".into(),
            timeline,
            started,
            recovered,
            status: (!status.is_empty()).then(|| status.into()),
            is_future: status == "future",
        }
    }

    #[test]
    fn cp_4_the_table_line_by_line() {
        use Fate::{Aborted, Committed, Open, Unknown};
        let other = Testimony {
            system: "other".into(),
            ..said(3, 50, None, "committed")
        };
        assert_eq!(other.fate(&trace()), Unknown, "1");
        for (line, testimony, announced, fate) in [
            ("2: future", said(3, 60, Some(10), "future"), false, Aborted),
            (
                "2: aborted",
                said(4, 60, Some(2000), "aborted"),
                false,
                Aborted,
            ),
            ("3: too old", said(3, 50, None, ""), false, Unknown),
            (
                "3: two promotions",
                said(5, 60, Some(2000), "committed"),
                false,
                Unknown,
            ),
            (
                "3: older timeline",
                said(2, 60, Some(10), "future"),
                false,
                Unknown,
            ),
            ("4", said(3, 50, None, "committed"), false, Committed),
            (
                "5: restarted",
                said(3, 60, Some(L - 1), "committed"),
                false,
                Aborted,
            ),
            (
                "5: promoted",
                said(4, 10, Some(L - 1), "committed"),
                false,
                Aborted,
            ),
            (
                "5: in use again",
                said(4, 10, Some(L - 1), "in progress"),
                false,
                Aborted,
            ),
            (
                "6: restarted",
                said(3, 60, Some(L), "committed"),
                false,
                Committed,
            ),
            (
                "6: promoted",
                said(4, 10, Some(L), "committed"),
                false,
                Committed,
            ),
            ("7", said(3, 50, None, "in progress"), false, Open),
            (
                "8: announced",
                said(3, 60, None, "committed"),
                true,
                Committed,
            ),
            ("8", said(3, 60, None, "committed"), false, Unknown),
            ("9", said(4, 60, None, "committed"), true, Unknown),
            (
                "a start before the transaction",
                said(3, 40, None, "committed"),
                false,
                Unknown,
            ),
        ] {
            let trace = Trace {
                announced,
                ..trace()
            };
            assert_eq!(testimony.fate(&trace), fate, "{line}");
        }
    }

    #[test]
    fn cp_4_a_server_that_recovers_without_a_new_start_has_crashed() {
        use Fate::{Aborted, Committed, Open};
        for (before, after, status, fate) in [
            (None, Some(L - 1), "committed", Aborted),
            (None, Some(L - 1), "in progress", Aborted),
            (None, Some(L), "committed", Committed),
            (Some(10), Some(10), "committed", Committed),
            (Some(10), Some(10), "in progress", Open),
            (Some(10), Some(L - 1), "committed", Aborted),
            (Some(10), Some(L), "committed", Committed),
        ] {
            let trace = Trace {
                recovered: before,
                ..trace()
            };
            let found = said(3, 50, after, status).fate(&trace);
            assert_eq!(found, fate, "{before:?} {after:?} {status}");
        }
    }

    #[test]
    fn cp_4_what_has_shown_a_part_of_itself_is_believed_on_the_same_server_only() {
        use Fate::{Aborted, Committed, Open, Unknown};
        let trace = Trace {
            is_whole: false,
            announced: true,
            ..trace()
        };
        for (testimony, fate) in [
            (said(3, 50, None, "committed"), Committed),
            (said(3, 50, None, "aborted"), Aborted),
            (said(3, 50, None, "in progress"), Open),
            (said(3, 60, Some(L), "committed"), Unknown),
            (said(4, 10, Some(L), "committed"), Unknown),
            (said(3, 60, None, "committed"), Unknown),
            (said(4, 10, Some(L), "aborted"), Aborted),
            (said(3, 60, Some(L - 1), "committed"), Aborted),
            (said(3, 60, Some(10), "future"), Aborted),
        ] {
            assert_eq!(testimony.fate(&trace), fate, "{testimony:?}");
        }
    }

    #[test]
    fn positions_are_read_as_the_server_writes_them() {
        assert_eq!(position("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(position("0/0"), Some(0));
        for wrong in ["", "1", "x/1", "1/100000000", "1/-1"] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_without_its_first_cells_says_nothing() {
        let cell = |text: &str| Some(text.into());
        let row = [cell("s"), cell("0000000A"), cell("5"), None, None];
        assert_eq!(Testimony::read(&row).unwrap(), said(10, 5, None, ""));
        assert_eq!(Testimony::read(&row[..2]), None);
    }
}
