//! report.html: one file, no scripts, nothing loaded.

use std::fmt::Write as _;

use super::facts::{Facts, Step};
use super::picture::{self, escape};
use super::table::{client, count, duration, seconds, versions};
use super::value::{Check, Report, Tally};
use crate::event::Event;

const STYLE: &str = include_str!("report.css");

/// Gives the page.
pub fn page(report: &Report, events: &[Event], steps: &[Step], facts: &Facts) -> String {
    let title = title(report);
    let mut body = String::new();
    head(&mut body, report, &title);
    tiles(&mut body, report);
    let _ = writeln!(
        body,
        "<figure>\n{}{}</figure>",
        picture::svg(events, steps, facts),
        legend(facts)
    );
    checks(&mut body, report);
    requests(&mut body, report);
    failures(&mut body, report, facts);
    refusals(&mut body, report);
    evidence(&mut body, report);
    members(&mut body, report);
    all_steps(&mut body, steps, facts);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&title)
    )
}

fn title(report: &Report) -> String {
    format!(
        "Control-plane node {} was replaced in {}",
        report.target,
        seconds(report.replace_seconds)
    )
}

/// Writes the headline: what was done, and in one sentence what it cost.
fn head(body: &mut String, report: &Report, title: &str) {
    let (class, word) = if report.verdict.ok {
        ("good", "Everything held")
    } else {
        ("bad", "Something did not hold")
    };
    let _ = writeln!(
        body,
        "<header>\n<p class=\"chip {class}\">{word}</p>\n<h1>{}</h1>",
        escape(title)
    );
    let _ = writeln!(
        body,
        "<p class=\"lead\">The cluster was in use meanwhile: {} requests, {}; {} acknowledged writes, {}; \
         {} watch events, {}.{}</p>",
        count(report.api.all.requests),
        none(report.api.all.failed, "failed"),
        count(report.writes.acked),
        none(report.writes.lost, "lost"),
        count(report.watch.events),
        none(report.watch.missed, "missed"),
        apart(report),
    );
    let _ = writeln!(body, "<p class=\"muted\">{}</p>", escape(&versions(report)));
    if !report.verdict.ok {
        body.push_str("<div class=\"wrong\">\n");
        list(body, report.verdict.checks.iter().filter(|check| !check.ok));
        body.push_str("</div>\n");
    }
    body.push_str("</header>\n");
}

/// Says what the fault itself cost, before anything could be done about it.
fn apart(report: &Report) -> String {
    let window = &report.fault_window;
    if window.all.requests == 0 {
        return String::new();
    }
    format!(
        " Counted apart: {} of {} requests failed in the {} from the fault until HAProxy had noticed it.",
        count(window.all.failed),
        count(window.all.requests),
        seconds(window.seconds)
    )
}

fn checks(body: &mut String, report: &Report) {
    body.push_str("<h2>What had to hold</h2>\n");
    list(body, report.verdict.checks.iter());
}

fn list<'a>(body: &mut String, checks: impl Iterator<Item = &'a Check>) {
    body.push_str("<ul class=\"checks\">\n");
    for check in checks {
        let (class, mark) = if check.ok { ("good", "✓") } else { ("bad", "✗") };
        let _ = writeln!(
            body,
            "<li><span class=\"{class}\">{mark}</span> {} <span class=\"muted\">{}</span></li>",
            escape(&check.needed),
            escape(&check.found)
        );
    }
    body.push_str("</ul>\n");
}

fn none(number: usize, what: &str) -> String {
    if number == 0 {
        format!("none {what}")
    } else {
        format!("<strong class=\"bad\">{} {what}</strong>", count(number))
    }
}

fn tiles(body: &mut String, report: &Report) {
    body.push_str("<section class=\"tiles\">\n");
    let mut tile = |ok: bool, value: &str, text: &str| {
        let class = if ok { "tile" } else { "tile bad-tile" };
        let _ = writeln!(
            body,
            "<div class=\"{class}\"><b>{value}</b><span>{}</span></div>",
            escape(text)
        );
    };
    let quiet = if report.quiet_seconds > 0.0 {
        format!(
            "to replace {}, {} of it prescribed waiting",
            report.target,
            seconds(report.quiet_seconds)
        )
    } else {
        format!("to replace {}", report.target)
    };
    tile(true, &seconds(report.replace_seconds), &quiet);
    let failed = report.api.all.failed;
    tile(
        failed == 0,
        &count(failed),
        &format!("of {} requests failed", count(report.api.all.requests)),
    );
    let lost = report.writes.lost;
    tile(
        lost == 0,
        &count(lost),
        &format!("of {} acknowledged writes lost", count(report.writes.acked)),
    );
    let missed = report.watch.missed;
    tile(
        missed == 0,
        &count(missed),
        &format!("of {} watch events missed", count(report.writes.acked)),
    );
    if report.fault_window.all.requests > 0 {
        let window = &report.fault_window;
        let text = format!(
            "from the fault to HAProxy's verdict; {} of {} requests failed in it",
            window.all.failed, window.all.requests
        );
        tile(true, &seconds(window.seconds), &text);
    }
    let again = report.second_run_changed;
    let value = again.map_or("–".to_string(), |changed| changed.to_string());
    tile(again == Some(0), &value, "changes when the same command ran again");
    body.push_str("</section>\n");
}

/// Explains the colours; every one of them also has a word in the picture.
fn legend(facts: &Facts) -> String {
    let zero = if facts.fault_at.is_some() {
        "0 s is the fault; the red ground lasts until HAProxy took the node out."
    } else {
        "0 s is the start of the playbook."
    };
    let entries = [
        ("leader", "etcd leader"),
        ("voter", "voter"),
        ("learner", "learner, or drained"),
        ("silent", "no answer, DOWN, failed request"),
        ("absent", "removed from the cluster"),
        ("up", "UP: gets requests"),
        ("maint", "maintenance"),
        ("retried", "tried again, or connected again"),
        ("step-changed", "step that changed something"),
        ("step", "step that looked or waited"),
    ];
    let mut caption = String::from("<figcaption>");
    for (class, text) in entries {
        let _ = write!(caption, "<span><i class=\"{class}\"></i>{text}</span>");
    }
    let _ = writeln!(caption, "<span>{zero}</span></figcaption>");
    caption
}

fn row(body: &mut String, title: &str, tally: &Tally) {
    let bad = if tally.failed > 0 { " class=\"bad\"" } else { "" };
    let _ = writeln!(
        body,
        "<tr><td>{}</td><td>{}</td><td{bad}>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape(title),
        count(tally.requests),
        count(tally.failed),
        count(tally.retried),
        duration(tally.median_ms),
        duration(tally.p99_ms),
        duration(tally.longest_ms)
    );
}

fn requests(body: &mut String, report: &Report) {
    body.push_str(
        "<h2>Requests</h2>\n<table class=\"numbers\"><thead><tr><th></th><th>requests</th><th>failed</th><th>retried</th>\
         <th>median</th><th>99 %</th><th>longest</th></tr></thead><tbody>\n",
    );
    for (name, tally) in &report.api.by_client {
        row(body, client(*name), tally);
    }
    row(body, "all", &report.api.all);
    if report.fault_window.all.requests > 0 {
        row(
            body,
            &format!("apart: in the fault window of {}", seconds(report.fault_window.seconds)),
            &report.fault_window.all,
        );
    }
    let _ = writeln!(
        body,
        "</tbody></table>\n<p class=\"muted\">A GET was tried a second time only when its connection closed before the first byte of an answer. \
         The HTTP/2 client made {} new connections, the watch {}. {} writes ended without a verdict, {} of them were found by reading. \
         Writes were looked for through {} apiservers and in the store of {} etcd members.</p>",
        report.api.http2_reconnects,
        report.watch.reconnects,
        report.writes.ambiguous,
        report.writes.ambiguous_found,
        report.writes.apiservers_read,
        report.writes.etcd_members_read
    );
}

fn failures(body: &mut String, report: &Report, facts: &Facts) {
    if report.failures.is_empty() {
        return;
    }
    let zero = facts.fault_at.unwrap_or(facts.replace_started);
    let _ = writeln!(
        body,
        "<details><summary>Failed requests, the first {}</summary>\n<table><tbody>",
        report.failures.len()
    );
    for failure in &report.failures {
        let place = if failure.in_fault_window { "in the fault window" } else { "outside" };
        let _ = writeln!(
            body,
            "<tr><td>{:.2} s</td><td>{}</td><td>{}</td><td>{place}</td><td>{}</td></tr>",
            failure.at - zero,
            client(failure.client),
            duration(failure.ms),
            escape(&failure.error)
        );
    }
    body.push_str("</tbody></table></details>\n");
}

fn refusals(body: &mut String, report: &Report) {
    if report.refusals.is_empty() {
        return;
    }
    body.push_str("<h2>Mistakes that were tried</h2>\n");
    for refusal in &report.refusals {
        let (class, word) =
            if refusal.holds() { ("good", "refused") } else { ("bad", "not as it should be") };
        let _ = writeln!(
            body,
            "<p>{}: <strong class=\"{class}\">{word}</strong> <code>{}</code></p>\n<pre>{}</pre>",
            escape(&refusal.what),
            escape(&refusal.code),
            escape(&refusal.text)
        );
    }
}

fn evidence(body: &mut String, report: &Report) {
    if report.evidence.is_empty() {
        return;
    }
    body.push_str("<h2>What was seen</h2>\n");
    for seen in &report.evidence {
        let _ = writeln!(body, "<p>{}</p>\n<pre>{}</pre>", escape(&seen.title), escape(&seen.text));
    }
}

fn members(body: &mut String, report: &Report) {
    body.push_str("<h2>Members at the end</h2>\n<table><thead><tr><th>name</th><th>id</th><th>role</th></tr></thead><tbody>\n");
    for member in &report.members_after {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}</td></tr>",
            escape(&member.name),
            escape(&member.id),
            escape(&member.role)
        );
    }
    body.push_str("</tbody></table>\n");
}

fn all_steps(body: &mut String, steps: &[Step], facts: &Facts) {
    if steps.is_empty() {
        return;
    }
    let zero = facts.fault_at.unwrap_or(facts.replace_started);
    let _ = writeln!(
        body,
        "<details><summary>All {} steps</summary>\n<table class=\"steps\"><thead><tr><th>at</th><th>step</th><th>host</th><th>took</th><th>changed</th></tr></thead><tbody>",
        steps.len()
    );
    for step in steps {
        let _ = writeln!(
            body,
            "<tr><td>{:.1} s</td><td>{}</td><td>{}</td><td>{:.1} s</td><td>{}</td></tr>",
            step.at - zero,
            escape(&step.step),
            escape(&step.host),
            step.seconds,
            if step.changed { "changed" } else { "" }
        );
    }
    body.push_str("</tbody></table></details>\n");
}
