//! What a run says while it runs: few lines, and each once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The least time between two lines, and between two deliveries.
const PAUSE: Duration = Duration::from_secs(1);
/// A follower that comes back after a long time gets the end of the story.
const KEPT: usize = 50;
/// A line is for reading.
const LONGEST: usize = 300;

/// Numbered from 1.
#[derive(Default)]
pub(super) struct Lines {
    kept: VecDeque<String>,
    /// How many there were.
    count: usize,
    /// How many of them were handed to a follower.
    delivered: usize,
    said_at: Option<Instant>,
    delivered_at: Option<Instant>,
}

impl Lines {
    /// Adds a line, unless it says what the last one said. What nobody has seen gives way to what comes within a second.
    pub(super) fn say(&mut self, text: &str) {
        if self.kept.back().is_some_and(|last| last == text) {
            return;
        }
        if self.delivered < self.count && within(self.said_at) {
            self.kept.pop_back();
            self.count -= 1;
        }
        let mut line: String = text.chars().take(LONGEST).collect();
        if line.len() < text.len() {
            line.push('…');
        }
        self.kept.push_back(line);
        self.count += 1;
        self.said_at = Some(Instant::now());
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Whether there is something for who has seen so many, and it is not too early for it.
    pub(super) fn are_due(&self, seen: usize) -> bool {
        self.count > seen && !within(self.delivered_at)
    }

    /// How many there are, and those that come after the first `seen`.
    pub(super) fn after(&mut self, seen: usize) -> (usize, Vec<String>) {
        let new = self.count.saturating_sub(seen);
        let skipped = self.kept.len().saturating_sub(new);
        if new > 0 {
            (self.delivered, self.delivered_at) = (self.count, Some(Instant::now()));
        }
        (self.count, self.kept.iter().skip(skipped).cloned().collect())
    }
}

fn within(since: Option<Instant>) -> bool {
    since.is_some_and(|since| since.elapsed() < PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &mut Lines, text: &str) {
        lines.said_at = None;
        lines.say(text);
    }

    #[test]
    fn a_line_is_told_once_and_again_to_who_has_not_seen_it() {
        let mut lines = Lines::default();
        said(&mut lines, "a");
        said(&mut lines, "a");
        said(&mut lines, "b");
        assert_eq!(lines.after(0), (2, vec!["a".to_owned(), "b".into()]));
        assert!(!lines.are_due(2) && !lines.are_due(0), "one delivery a second");
        lines.delivered_at = None;
        assert!(lines.are_due(1) && lines.after(1) == (2, vec!["b".into()]));
        assert_eq!(lines.after(usize::MAX), (2, vec![]), "who wants none gets none");
    }

    #[test]
    fn what_nobody_saw_gives_way_within_a_second() {
        let mut lines = Lines::default();
        for text in ["a", "b", "c"] {
            lines.say(text);
        }
        assert_eq!(lines.after(0), (1, vec!["c".to_owned()]));
        lines.say("d");
        assert_eq!(lines.after(1), (2, vec!["d".to_owned()]), "what was seen stays");
    }

    #[test]
    fn the_end_of_a_long_story_is_kept_and_long_lines_are_cut() {
        let mut lines = Lines::default();
        (0..KEPT * 2).for_each(|number| said(&mut lines, &number.to_string()));
        let (count, kept) = lines.after(0);
        assert_eq!((count, kept.len(), kept[0].as_str()), (KEPT * 2, KEPT, "50"));
        said(&mut lines, &"é".repeat(LONGEST * 2));
        assert_eq!(lines.after(count).1[0].chars().count(), LONGEST + 1);
    }
}
