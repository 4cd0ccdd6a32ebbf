//! The picture: members, requests and steps on one axis of time, as inline SVG.

mod lanes;
mod requests;
mod steps;

use std::fmt::Write as _;

use super::facts::{Facts, Step};
use super::judge::fault_window;
use super::table::seconds;
use super::tally::{self, Window};
use crate::event::Event;

/// The whole width; the page scales it.
const WIDTH: f64 = 1160.0;
/// Where the axis begins: names stand left of it.
const LEFT: f64 = 196.0;
/// Where the axis ends.
const RIGHT: f64 = 1124.0;

/// From time to place.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    /// Gives the place of a moment; what lies outside is put at the edge.
    pub fn x(&self, at: f64) -> f64 {
        let share = (at - self.from) / (self.to - self.from).max(0.001);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

/// A drawing that grows downwards.
pub struct Canvas {
    svg: String,
    /// Where the next part begins.
    y: f64,
}

impl Canvas {
    /// Draws a filled rectangle that tells its meaning when pointed at.
    fn rect(&mut self, class: &str, x: (f64, f64), y: (f64, f64), title: &str) {
        let (from, to) = x;
        let (top, height) = y;
        let width = (to - from).max(0.8);
        let title = if title.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escape(title))
        };
        let _ = writeln!(
            self.svg,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">{title}</rect>"
        );
    }

    /// Writes text.
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = writeln!(
            self.svg,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(text)
        );
    }

    /// Draws a line.
    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.svg,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// Writes a heading over the next part.
    fn heading(&mut self, text: &str) {
        self.y += 24.0;
        let y = self.y;
        self.text("heading", 0.0, y, text);
        self.y += 10.0;
    }
}

/// Makes text safe inside HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Tells whether text of the picture's size fits between two places.
fn fits(text: &str, from: f64, to: f64) -> bool {
    to - from > wide(text) + 8.0
}

/// Estimates the width of text in the picture's small size.
fn wide(text: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the text is shorter than a line")]
    let characters = text.chars().count() as f64;
    characters * 6.1
}

/// Draws the picture.
pub fn svg(events: &[Event], steps: &[Step], facts: &Facts) -> String {
    let scale = scale(events, facts);
    let zero = facts.fault_at.unwrap_or(facts.replace_started);
    let window = fault_window(events, facts);
    let mut canvas = Canvas { svg: String::new(), y: 0.0 };
    phases(&mut canvas, scale, facts, window);
    let top = canvas.y;
    lanes::draw(&mut canvas, scale, events);
    requests::draw(&mut canvas, scale, events, window);
    steps::draw(&mut canvas, scale, steps, facts);
    canvas.y += 6.0;
    let bottom = canvas.y;

    // What lies behind everything else is drawn first.
    let mut back = Canvas { svg: String::new(), y: 0.0 };
    if let Some(window) = window {
        back.rect(
            "shade-fault",
            (scale.x(window.from), scale.x(window.to)),
            (top, bottom - top),
            "",
        );
    }
    let replaced = (scale.x(facts.replace_started), scale.x(facts.replace_ended));
    back.rect("shade-work", replaced, (top, bottom - top), "");
    axis(&mut back, scale, zero, top, bottom);
    let height = bottom + 24.0;
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"members, requests and steps over time\">\n{PATTERN}{}{}</svg>\n",
        back.svg, canvas.svg
    )
}

/// Hatching for what is not there: to be told apart without colour.
const PATTERN: &str = "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><rect class=\"hatch-ground\" width=\"6\" height=\"6\"/>\
    <line class=\"hatch-line\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\"/></pattern></defs>\n";

/// Shows everything that was watched, and at least the operation.
fn scale(events: &[Event], facts: &Facts) -> Scale {
    let known = facts.replace_started.min(facts.fault_at.unwrap_or(f64::INFINITY));
    let begun = events.first().map_or(known, Event::at);
    let ended = tally::span(events).map_or(facts.replace_ended, |span| span.to);
    Scale { from: begun.min(known), to: ended.max(facts.replace_ended) }
}

/// Draws what happened, from the fault to the second run.
fn phases(canvas: &mut Canvas, scale: Scale, facts: &Facts, window: Option<Window>) {
    let (top, height) = (18.0, 20.0);
    // The longest wording that fits stands in the bar; all of it shows when pointed at.
    let bar = |canvas: &mut Canvas, class: &str, span: (f64, f64), wordings: &[String]| {
        let (left, right) = (scale.x(span.0), scale.x(span.1));
        canvas.rect(
            class,
            (left, right),
            (top, height),
            wordings.first().map_or("", String::as_str),
        );
        if let Some(text) = wordings.iter().find(|text| fits(text, left, right)) {
            canvas.text("on-bar", f64::midpoint(left, right), top + 14.0, text);
        }
    };
    if let Some(window) = window {
        let fault = facts.fault.as_deref().unwrap_or("fault");
        // The bar is short where the load balancer is quick, and its beginning is what the reader looks for.
        canvas.text("small-end", scale.x(window.from) - 5.0, top + 14.0, fault);
        let took = seconds(window.to - window.from);
        bar(canvas, "phase-fault", (window.from, window.to), &[format!("fault, {took}"), took]);
    }
    let took = seconds(facts.replace_ended - facts.replace_started);
    let wordings = [format!("replacement of {}, {took}", facts.target), took];
    bar(canvas, "phase-work", (facts.replace_started, facts.replace_ended), &wordings);
    if let Some(run) = &facts.second_run {
        let changes = format!("{} changes", run.changed);
        let wordings =
            [format!("same command again: {changes}"), format!("again: {changes}"), changes];
        bar(canvas, "phase-again", (run.at, run.at + run.seconds), &wordings);
    }
    canvas.y = top + height + 4.0;
    for refusal in &facts.refusals {
        let x = scale.x(refusal.at);
        canvas.line("mark", (x, top + height), (x, canvas.y + 8.0));
        let verb = if refusal.refused { "refused" } else { "NOT REFUSED" };
        let text = format!("{verb}: {} ({})", refusal.what, refusal.code);
        let (class, place) =
            if x + wide(&text) > RIGHT { ("small-end", x - 5.0) } else { ("small", x + 5.0) };
        canvas.text(class, place, canvas.y + 9.0, &text);
        canvas.y += 14.0;
    }
}

/// Draws the axis of time below, with its grid.
fn axis(canvas: &mut Canvas, scale: Scale, zero: f64, top: f64, bottom: f64) {
    let length = scale.to - scale.from;
    let every = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0]
        .into_iter()
        .find(|every| length / every <= 14.0)
        .unwrap_or(600.0);
    let mut tick = ((scale.from - zero) / every).ceil() * every;
    while zero + tick <= scale.to {
        let x = scale.x(zero + tick);
        canvas.line("grid", (x, top), (x, bottom));
        canvas.text("tick", x, bottom + 14.0, &clock(tick));
        tick += every;
    }
}

/// Writes a time on the axis.
fn clock(tick: f64) -> String {
    let sign = if tick < 0.0 { "−" } else { "" };
    let minutes = (tick.abs() / 60.0).floor();
    let rest = tick.abs() - minutes * 60.0;
    if minutes > 0.0 {
        format!("{sign}{minutes:.0}:{rest:02.0}")
    } else {
        format!("{sign}{rest:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_on_the_axis_are_short() {
        for (tick, text) in
            [(0.0, "0 s"), (-5.0, "−5 s"), (45.0, "45 s"), (60.0, "1:00"), (95.0, "1:35")]
        {
            assert_eq!(clock(tick), text);
        }
    }

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
