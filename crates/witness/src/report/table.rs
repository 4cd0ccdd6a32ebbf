//! The table in the terminal, and how numbers are written.

use std::fmt::Write as _;

use super::value::{Report, Tally};
use crate::event::Client;

/// Writes a count with separated thousands.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a duration in the unit in which it is read best.
pub fn duration(ms: f64) -> String {
    if ms >= 999.5 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms >= 9.95 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

/// Writes seconds; from two minutes on with minutes.
pub fn seconds(value: f64) -> String {
    if value < 119.5 {
        return if value < 9.95 { format!("{value:.1} s") } else { format!("{value:.0} s") };
    }
    let minutes = (value / 60.0).floor();
    format!("{minutes:.0} min {:.0} s", (value - minutes * 60.0).floor())
}

/// Names a client for readers.
pub fn client(client: Client) -> &'static str {
    match client {
        Client::Get => "GET, new connection each time",
        Client::Http2 => "GET, one HTTP/2 connection",
        Client::Write => "writes, new connection each time",
    }
}

/// Lists the versions in one line.
pub fn versions(report: &Report) -> String {
    let mut parts = vec![report.distribution.clone()];
    parts.extend(report.versions.iter().map(|(program, version)| format!("{program} {version}")));
    parts.join(", ")
}

/// Gives the table with the verdict.
pub fn terminal(report: &Report) -> String {
    let mut text = String::new();
    let quiet = if report.quiet_seconds > 0.0 {
        format!(" ({} of it prescribed waiting)", seconds(report.quiet_seconds))
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "{} replaced in {}{quiet}; {}\n",
        report.target,
        seconds(report.replace_seconds),
        versions(report)
    );
    let _ = writeln!(
        text,
        "{:<34}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}",
        "", "requests", "failed", "retried", "median", "99 %", "longest"
    );
    for (name, tally) in &report.api.by_client {
        row(&mut text, client(*name), tally);
    }
    row(&mut text, "all", &report.api.all);
    if report.fault_window.all.requests > 0 {
        let title = format!("apart: fault window, {}", seconds(report.fault_window.seconds));
        row(&mut text, &title, &report.fault_window.all);
    }
    let _ = writeln!(
        text,
        "\nnew connections: HTTP/2 client {}, watch {}; writes without a verdict: {}, found by reading: {}\n",
        report.api.http2_reconnects,
        report.watch.reconnects,
        report.writes.ambiguous,
        report.writes.ambiguous_found
    );
    for check in &report.verdict.checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "{mark}  {}: {}", check.needed, check.found);
    }
    for failure in report.failures.iter().filter(|failure| !failure.in_fault_window).take(10) {
        let _ = writeln!(text, "      {}: {}", client(failure.client), failure.error);
    }
    let failed = report.verdict.checks.iter().filter(|check| !check.ok).count();
    let _ = match failed {
        0 => writeln!(text, "\nverdict: everything held"),
        _ => writeln!(text, "\nverdict: {failed} of {} did not hold", report.verdict.checks.len()),
    };
    text
}

fn row(text: &mut String, title: &str, tally: &Tally) {
    let _ = writeln!(
        text,
        "{title:<34}{:>9}{:>8}{:>9}{:>9}{:>9}{:>9}",
        count(tally.requests),
        count(tally.failed),
        count(tally.retried),
        duration(tally.median_ms),
        duration(tally.p99_ms),
        duration(tally.longest_ms),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_readers() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (ms, text) in
            [(3.24, "3.2 ms"), (42.4, "42 ms"), (999.6, "1.0 s"), (12_340.0, "12.3 s")]
        {
            assert_eq!(duration(ms), text);
        }
        for (value, text) in [(3.24, "3.2 s"), (74.2, "74 s"), (125.0, "2 min 5 s")] {
            assert_eq!(seconds(value), text);
        }
    }
}
