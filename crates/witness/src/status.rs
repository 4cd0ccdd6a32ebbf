//! `witness status`: one line about a run under way.

use std::path::Path;

use crate::event::{Event, Written, read_lines};

/// Reads the file as far as it is written and gives the line.
pub fn run(events: &Path) -> anyhow::Result<String> {
    Ok(line(&read_lines(events)?))
}

/// Gives the line: requests, failed, acknowledged writes, longest.
pub fn line(events: &[Event]) -> String {
    let (mut requests, mut failed, mut retried, mut acked, mut longest) = (0, 0, 0, 0, 0.0_f64);
    for event in events {
        match event {
            Event::Request { ms, ok, retried: again, .. } => {
                requests += 1;
                failed += usize::from(!ok);
                retried += usize::from(*again);
                longest = longest.max(*ms);
            }
            Event::Write { ms, written, .. } => {
                requests += 1;
                failed += usize::from(*written != Written::Acked);
                acked += usize::from(*written == Written::Acked);
                longest = longest.max(*ms);
            }
            _ => {}
        }
    }
    format!(
        "{requests} requests, {failed} failed, {retried} retried, {acked} writes acknowledged, longest {longest:.0} ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Client;

    #[test]
    fn the_line_counts_reads_and_writes() {
        let get = |ok, ms| Event::Request {
            at: 0.0,
            ms,
            client: Client::Get,
            ok,
            status: None,
            retried: ok,
            error: None,
        };
        let write = |written| Event::Write {
            at: 0.0,
            ms: 3.0,
            name: "n".into(),
            written,
            uid: None,
            error: None,
        };
        let events =
            [get(true, 2.0), get(false, 9.4), write(Written::Acked), write(Written::Ambiguous)];
        assert_eq!(
            line(&events),
            "4 requests, 2 failed, 1 retried, 1 writes acknowledged, longest 9 ms"
        );
    }
}
