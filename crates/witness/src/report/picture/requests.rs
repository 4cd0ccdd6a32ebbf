//! The clients' part: how long requests took, which were tried again, which failed.

use super::{Canvas, LEFT, RIGHT, Scale};
use crate::event::{Client, Event};
use crate::report::table::{count, duration};
use crate::report::tally::{self, Request, Window};

/// The height of one client's lane.
const LANE: f64 = 46.0;
/// The width of one column.
const COLUMN: f64 = 3.0;
/// The lane's floor and ceiling: most answers take some milliseconds, a timeout takes ten seconds.
const FLOOR_MS: f64 = 1.0;
const CEILING_MS: f64 = 10_000.0;

/// What one column says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Column {
    requests: usize,
    failed: usize,
    retried: usize,
    longest_ms: f64,
}

/// Draws a lane per client and one for the watch.
pub fn draw(canvas: &mut Canvas, scale: Scale, events: &[Event], window: Option<Window>) {
    let requests = tally::requests(events);
    canvas.heading("Requests through the load balancer: the longest of each moment");
    for (client, title) in [
        (Client::Get, "GET, new connection each"),
        (Client::Http2, "GET, one HTTP/2 connection"),
        (Client::Write, "create, new connection each"),
    ] {
        let own: Vec<&Request> =
            requests.iter().filter(|request| request.client == client).collect();
        titles(canvas, title, &own, window);
        lane(canvas, scale, &own);
    }
    watch(canvas, scale, events);
}

/// Writes the lane's name and numbers; failures in the fault window are told apart.
fn titles(canvas: &mut Canvas, title: &str, requests: &[&Request], window: Option<Window>) {
    let top = canvas.y;
    let inside = |request: &Request| window.is_some_and(|window| window.touches(request));
    let failed = requests.iter().filter(|request| !request.ok);
    let (excused, failed): (Vec<&Request>, Vec<&Request>) =
        failed.partition(|request| inside(request));
    canvas.text("name-small", 0.0, top + 13.0, title);
    let (class, word) = match failed.len() {
        0 => ("small", "none failed".to_string()),
        number => ("bad", format!("{} failed", count(number))),
    };
    canvas.text(class, 0.0, top + 27.0, &format!("{} requests, {word}", count(requests.len())));
    if !excused.is_empty() {
        let text = format!("({} failed in the fault window)", count(excused.len()));
        canvas.text("small", 0.0, top + 41.0, &text);
    }
}

fn lane(canvas: &mut Canvas, scale: Scale, requests: &[&Request]) {
    let top = canvas.y;
    for (ms, text) in [(10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s")] {
        let y = top + LANE - height(ms);
        canvas.line("level", (LEFT, y), (RIGHT, y));
        canvas.text("tiny", RIGHT + 3.0, y + 3.0, text);
    }
    canvas.line("base", (LEFT, top + LANE), (RIGHT, top + LANE));
    let columns = columns(scale, requests);
    for (index, column) in columns.iter().enumerate().filter(|(_, column)| column.requests > 0) {
        #[expect(clippy::cast_precision_loss, reason = "there are some hundred columns")]
        let left = LEFT + index as f64 * COLUMN;
        bar(canvas, column, left, top);
    }
    canvas.y += LANE + 8.0;
}

fn bar(canvas: &mut Canvas, column: &Column, left: f64, top: f64) {
    let tall = height(column.longest_ms);
    let title = format!(
        "{} requests, {} failed, {} retried, longest {}",
        column.requests,
        column.failed,
        column.retried,
        duration(column.longest_ms)
    );
    let class = if column.failed > 0 { "bar-failed" } else { "bar" };
    canvas.rect(class, (left, left + COLUMN - 0.6), (top + LANE - tall, tall), &title);
    if column.failed > 0 {
        canvas.rect("dot-failed", (left - 1.0, left + 3.0), (top - 4.0, 5.0), &title);
    } else if column.retried > 0 {
        canvas.rect("dot-retried", (left - 1.0, left + 3.0), (top - 4.0, 5.0), &title);
    }
}

/// Draws the watch: a stripe where events came, a mark where it had to connect again.
fn watch(canvas: &mut Canvas, scale: Scale, events: &[Event]) {
    let top = canvas.y;
    let numbers = tally::watch(events);
    canvas.text("name-small", 0.0, top + 11.0, "one long watch");
    let text = format!("{} events, {} missed", count(numbers.events), count(numbers.missed));
    canvas.text(if numbers.missed > 0 { "bad" } else { "small" }, 0.0, top + 25.0, &text);
    canvas.line("base", (LEFT, top + 16.0), (RIGHT, top + 16.0));
    for event in events {
        match event {
            Event::Seen { at, .. } => {
                let x = scale.x(*at);
                canvas.line("seen", (x, top + 4.0), (x, top + 16.0));
            }
            Event::Reconnect { at, client, reason } if client == "watch" => {
                let x = scale.x(*at);
                canvas.rect(
                    "dot-retried",
                    (x - 2.0, x + 2.0),
                    (top - 2.0, 20.0),
                    &format!("connected again: {reason}"),
                );
            }
            Event::Gone { at, reason } => {
                let x = scale.x(*at);
                canvas.rect(
                    "dot-failed",
                    (x - 2.0, x + 2.0),
                    (top - 2.0, 20.0),
                    &format!("lost its place: {reason}"),
                );
            }
            _ => {}
        }
    }
    canvas.y += 26.0;
}

/// Gives the height of a duration in the lane, on a logarithmic scale.
fn height(ms: f64) -> f64 {
    let share = (ms.max(FLOOR_MS) / FLOOR_MS).log10() / (CEILING_MS / FLOOR_MS).log10();
    (share.min(1.0) * LANE).max(1.0)
}

fn columns(scale: Scale, requests: &[&Request]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for request in requests {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the place lies within the axis"
        )]
        let index = ((scale.x(request.at) - LEFT) / COLUMN) as usize;
        if columns.len() <= index {
            columns.resize(index + 1, Column::default());
        }
        if let Some(column) = columns.get_mut(index) {
            column.requests += 1;
            column.failed += usize::from(!request.ok);
            column.retried += usize::from(request.retried);
            column.longest_ms = column.longest_ms.max(request.ms);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_its_worst_request() {
        let request =
            |at, ms, ok| Request { at, ms, client: Client::Get, ok, retried: false, error: "" };
        let requests =
            [request(0.0, 3.0, true), request(0.01, 900.0, false), request(10.0, 2.0, true)];
        let requests: Vec<&Request> = requests.iter().collect();
        let columns = columns(Scale { from: 0.0, to: 10.0 }, &requests);
        assert_eq!(
            columns.first().unwrap(),
            &Column { requests: 2, failed: 1, retried: 0, longest_ms: 900.0 }
        );
        assert_eq!(columns.last().unwrap().requests, 1);
        assert_eq!(columns.iter().map(|column| column.requests).sum::<usize>(), 3);
    }

    #[test]
    fn heights_stay_in_the_lane() {
        for ms in [0.0, 0.5, 1.0, 10.0, 10_000.0, 60_000.0] {
            let height = height(ms);
            assert!((1.0..=LANE).contains(&height), "{ms} ms: {height}");
        }
    }
}
