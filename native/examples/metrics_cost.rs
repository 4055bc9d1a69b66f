//! What counting costs a statement, in nanoseconds, as one number on a line; `bench/overhead.js` runs it.

use std::io::Write;
use std::time::{Duration, Instant};

use pg_berth::metrics::{Ending, Metrics};

const ROUNDS: u32 = 2_000_000;

fn main() -> std::io::Result<()> {
    let metrics = Metrics::default();
    let began = Instant::now();
    for round in 0..ROUNDS {
        // A statement reads the clock when it is sent and when it is answered.
        let sent = Instant::now();
        metrics.acquired(Duration::ZERO);
        let took = sent.elapsed() + Duration::from_nanos(u64::from(round % 100_000));
        metrics.statement(took, Some(took), 1, Ending::Well);
        metrics.traffic(120, 60);
    }
    let each = began.elapsed().as_nanos() / u128::from(ROUNDS);
    writeln!(std::io::stdout(), "{each}")
}
