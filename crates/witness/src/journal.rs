//! The events file while it is written.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::event::Event;

/// How long a line may wait in memory; `witness status` reads the file while it grows.
const FLUSH: Duration = Duration::from_millis(200);

/// Hands events to the file and tells the time.
///
/// Times come from one wall-clock reading and the monotonic clock since, so that a stepped clock cannot bend durations.
#[derive(Clone)]
pub struct Journal {
    lines: mpsc::UnboundedSender<Event>,
    born: Instant,
    born_at: f64,
}

impl Journal {
    /// Creates the file, or appends to it, and starts its writer. The handle ends when every `Journal` is dropped.
    pub fn open(
        path: &Path,
        append: bool,
    ) -> anyhow::Result<(Self, JoinHandle<anyhow::Result<()>>)> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        let (lines, received) = mpsc::unbounded_channel();
        let shown = path.display().to_string();
        let writer = tokio::spawn(async move {
            keep(file, received).await.with_context(|| format!("write {shown}"))
        });
        let born_at =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok((Self { lines, born: Instant::now(), born_at }, writer))
    }

    /// Adds one line.
    pub fn put(&self, event: Event) {
        // Fails only when the writer ended on an error of its own, which its handle reports.
        let _ = self.lines.send(event);
    }

    /// Tells the Unix time of an instant, to a tenth of a millisecond.
    pub fn time(&self, instant: Instant) -> f64 {
        let since = instant.saturating_duration_since(self.born).as_secs_f64();
        ((self.born_at + since) * 1e4).round() / 1e4
    }

    /// Tells the Unix time.
    pub fn now(&self) -> f64 {
        self.time(Instant::now())
    }
}

/// Gives a duration in milliseconds, to a tenth.
pub fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

async fn keep(file: File, mut received: mpsc::UnboundedReceiver<Event>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(file);
    let mut flush = tokio::time::interval(FLUSH);
    loop {
        tokio::select! {
            event = received.recv() => match event {
                Some(event) => {
                    serde_json::to_writer(&mut out, &event)?;
                    out.write_all(b"\n")?;
                }
                None => break,
            },
            _ = flush.tick() => out.flush()?,
        }
    }
    out.flush()?;
    Ok(())
}
