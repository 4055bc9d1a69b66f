//! Runs one operation again and again at a concurrency, and keeps the time of each.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use crate::ops::Op;
use crate::session::Session;

/// What a round took.
pub(crate) struct Round {
    times: Vec<Duration>,
    wall: Duration,
    cpu_us: i64,
}

/// As `drive` of `bench/harness/drive.js`: no operation begins after `ms`, each strand runs at least one.
pub(crate) async fn drive(session: &Session, op: &Op, concurrency: u64, ms: u64) -> Result<Round> {
    let times = RefCell::new(Vec::new());
    let next = Cell::new(0_i32);
    let cpu = cpu_us()?;
    let start = Instant::now();
    let strand = async |strand: usize| -> Result<()> {
        let mut begun = Instant::now();
        loop {
            let i = next.get();
            next.set(i + 1);
            op.run(session, strand, i).await?;
            let now = Instant::now();
            times.borrow_mut().push(now - begun);
            begun = now;
            if start.elapsed() >= Duration::from_millis(ms) {
                return Ok(());
            }
        }
    };
    try_join_all((0..usize::try_from(concurrency)?).map(strand)).await?;
    let wall = start.elapsed();
    let mut times = times.into_inner();
    times.sort_unstable();
    Ok(Round {
        times,
        wall,
        cpu_us: cpu_us()? - cpu,
    })
}

impl Round {
    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "ops": self.count(),
            "ms": self.wall.as_secs_f64() * 1_000.0,
            "cpuUs": self.cpu_us,
            "jsUs": null,
            "peakRssMb": peak_rss_mb(),
            "delayMs": null,
            "p50": self.quantile(50),
            "p99": self.quantile(99),
        })
    }

    fn quantile(&self, percent: usize) -> Option<f64> {
        let rank = (self.times.len() * percent).div_ceil(100).saturating_sub(1);
        self.times
            .get(rank)
            .map(|time| time.as_secs_f64() * 1_000.0)
    }
}

fn cpu_us() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

/// VmHWM, as in `bench/harness/meter.js`.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes / 1_024.0)
}
