//! The steps' part: a waterfall of the playbook's tasks.

use std::fmt::Write as _;

use super::{Canvas, LEFT, RIGHT, Scale, escape, wide};
use crate::report::facts::{Facts, Step};
use crate::report::table::seconds;

/// The most rows; the table below the picture has every step.
const ROWS: usize = 34;
const ROW: f64 = 16.0;
/// A shorter step that changed nothing says nothing in the picture.
const SHORT: f64 = 0.3;

/// One or several tasks of the same name on several hosts.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    from: f64,
    to: f64,
    text: String,
    hosts: Vec<String>,
    changed: bool,
}

/// Draws the steps of the operation; those of the second run are one bar among the phases.
pub fn draw(canvas: &mut Canvas, scale: Scale, steps: &[Step], facts: &Facts) {
    let again = facts.second_run.as_ref().map_or(f64::INFINITY, |run| run.at);
    let (rows, left_out) = rows(steps, again);
    if rows.is_empty() {
        return;
    }
    let more = if left_out > 0 {
        format!("; {left_out} short ones are in the table below")
    } else {
        String::new()
    };
    canvas.heading(&format!("Steps of the playbook{more}"));
    for row in rows {
        let y = canvas.y;
        let (left, right) = (scale.x(row.from), scale.x(row.to));
        let class = if row.changed { "step-changed" } else { "step" };
        let took = seconds(row.to - row.from);
        canvas.rect(
            class,
            (left, right),
            (y + 2.0, ROW - 5.0),
            &format!("{} ({}), {took}", row.text, row.hosts.join(", ")),
        );
        let text = format!("{}  {} {took}", row.text, row.hosts.join(", "));
        // Left of the bar only where the right has no room: the eye reads bar, then name.
        let room = RIGHT - right;
        let on_the_left = room < wide(&text) + 8.0 && left - LEFT > room;
        let (class, x) =
            if on_the_left { ("step-name-end", left - 5.0) } else { ("step-name", right + 5.0) };
        let _ = writeln!(
            canvas.svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\">{} <tspan class=\"muted-text\">{} {took}</tspan></text>",
            y + 11.0,
            escape(&row.text),
            escape(&row.hosts.join(", "))
        );
        canvas.y += ROW;
    }
}

/// Joins neighbours of one name and leaves out the least telling rows; gives how many those are.
fn rows(steps: &[Step], before: f64) -> (Vec<Row>, usize) {
    let mut steps: Vec<&Step> = steps.iter().filter(|step| step.at < before).collect();
    steps.sort_by(|one, other| one.at.total_cmp(&other.at));
    let mut rows: Vec<Row> = Vec::new();
    for step in steps {
        match rows.last_mut() {
            Some(row) if row.text == step.step => {
                row.to = row.to.max(step.at + step.seconds);
                row.changed |= step.changed;
                if !row.hosts.contains(&step.host) {
                    row.hosts.push(step.host.clone());
                }
            }
            _ => rows.push(Row {
                from: step.at,
                to: step.at + step.seconds,
                text: step.step.clone(),
                hosts: vec![step.host.clone()],
                changed: step.changed,
            }),
        }
    }
    let all = rows.len();
    rows.retain(|row| row.changed || row.to - row.from >= SHORT);
    let mut lengths: Vec<(bool, f64)> =
        rows.iter().map(|row| (row.changed, row.to - row.from)).collect();
    lengths.sort_by(|one, other| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)));
    if let Some((changed, length)) = lengths.get(ROWS).copied() {
        rows.retain(|row| (row.changed, row.to - row.from) > (changed, length));
    }
    let left_out = all - rows.len();
    (rows, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(at: f64, name: &str, host: &str, seconds: f64, changed: bool) -> Step {
        Step { at, step: name.into(), host: host.into(), seconds, changed }
    }

    #[test]
    fn neighbours_of_one_name_are_one_row_and_short_idle_steps_are_left_out() {
        let steps = [
            step(1.0, "prove", "cp1", 2.0, false),
            step(1.0, "prove", "cp3", 3.0, false),
            step(4.0, "look", "cp1", 0.1, false),
            step(5.0, "remove", "cp1", 0.1, true),
            step(90.0, "prove", "cp1", 2.0, false),
        ];
        let (rows, left_out) = rows(&steps, 80.0);
        let told: Vec<(&str, f64, usize)> =
            rows.iter().map(|row| (row.text.as_str(), row.to, row.hosts.len())).collect();
        assert_eq!(told, [("prove", 4.0, 2), ("remove", 5.1, 1)]);
        assert_eq!(left_out, 1);
    }

    #[test]
    fn never_more_rows_than_fit() {
        let steps: Vec<Step> = (0..60_u8)
            .map(|n| step(f64::from(n), &format!("s{n}"), "cp1", 0.5 + f64::from(n), n % 2 == 0))
            .collect();
        let (rows, left_out) = rows(&steps, f64::INFINITY);
        assert!(rows.len() <= ROWS, "{}", rows.len());
        assert_eq!(rows.len() + left_out, 60);
    }
}
