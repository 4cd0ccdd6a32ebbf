//! How far clocks are apart, from samples that took time.
//!
//! A host reads its clock when it is asked and when it answers, and the controller before and after. So its lead over the controller is bounded from both sides, by as
//! much as the way there and the way back took, and the difference of two hosts by both.

/// One reading.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    /// Of which host.
    pub host: &'a str,
    /// The controller's clock before.
    pub asked_at: f64,
    /// The host's when it began.
    pub now: f64,
    /// The host's when it was done.
    pub done: f64,
    /// The controller's clock after.
    pub answered_by: f64,
}

/// By how much a host's clock is ahead of the controller's: not less, and not more.
#[derive(Clone, PartialEq, Debug)]
pub struct Lead<'a> {
    /// Of which host.
    pub host: &'a str,
    /// At least, in seconds.
    pub least: f64,
    /// At most.
    pub most: f64,
}

/// How far two clocks are apart: not less, and not more.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap<'a> {
    /// One host.
    pub one: &'a str,
    /// The other.
    pub other: &'a str,
    /// At least, in seconds.
    pub least: f64,
    /// At most.
    pub most: f64,
}

/// What is known of each host from all its samples, in the order of their first.
pub fn leads<'a>(samples: &[Sample<'a>]) -> Vec<Lead<'a>> {
    let mut leads: Vec<Lead> = vec![];
    for sample in samples {
        let (least, most) = (sample.done - sample.answered_by, sample.now - sample.asked_at);
        match leads.iter_mut().find(|lead| lead.host == sample.host) {
            // A clock that was set in between fits neither: the wider bound keeps that from passing for precision.
            Some(lead) if least > lead.most || most < lead.least => {
                *lead = Lead {
                    host: lead.host,
                    least: lead.least.min(least),
                    most: lead.most.max(most),
                };
            }
            Some(lead) => {
                (lead.least, lead.most) = (lead.least.max(least), lead.most.min(most));
            }
            None => leads.push(Lead { host: sample.host, least, most }),
        }
    }
    leads
}

/// Every pair.
pub fn gaps<'a>(leads: &[Lead<'a>]) -> Vec<Gap<'a>> {
    let pair = |one: &Lead<'a>, other: &Lead<'a>| {
        let (least, most) = (one.least - other.most, one.most - other.least);
        let apart = if least > 0.0 {
            least
        } else if most < 0.0 {
            -most
        } else {
            0.0
        };
        Gap { one: one.host, other: other.host, least: apart, most: most.abs().max(least.abs()) }
    };
    let pairs = leads
        .iter()
        .enumerate()
        .flat_map(|(number, one)| leads.iter().skip(number + 1).map(move |other| pair(one, other)));
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(host: &str, asked_at: f64, ahead: f64, there: f64, back: f64) -> Sample<'_> {
        let now = asked_at + there + ahead;
        Sample { host, asked_at, now, done: now + 5.0, answered_by: asked_at + there + 5.0 + back }
    }

    fn gap(samples: &[Sample]) -> (f64, f64) {
        let gap = gaps(&leads(samples)).remove(0);
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        (round(gap.least), round(gap.most))
    }

    #[test]
    fn equal_clocks_are_proven_to_within_the_time_the_samples_took() {
        let pair = [sample("a", 100.0, 0.0, 0.2, 0.1), sample("b", 101.0, 0.0, 0.1, 0.2)];
        assert_eq!(gap(&pair), (0.0, 0.4));
    }

    #[test]
    fn the_controllers_own_clock_does_not_matter() {
        let pair = [sample("a", 100.0, 3600.0, 0.1, 0.1), sample("b", 101.0, 3600.0, 0.1, 0.1)];
        assert_eq!(gap(&pair), (0.0, 0.2));
    }

    #[test]
    fn clocks_apart_are_seen_whatever_the_way_took() {
        let pair = [sample("a", 100.0, 0.0, 0.3, 0.3), sample("b", 101.0, 2.0, 0.2, 0.2)];
        assert_eq!(gap(&pair), (1.5, 2.5));
        let pair = [sample("a", 100.0, 2.0, 0.3, 0.3), sample("b", 101.0, 0.0, 0.2, 0.2)];
        assert_eq!(gap(&pair), (1.5, 2.5));
    }

    #[test]
    fn a_slow_sample_proves_nothing_and_a_quick_one_after_it_does() {
        let slow = [sample("a", 100.0, 0.0, 3.0, 0.1), sample("b", 104.0, 0.0, 0.1, 0.1)];
        assert_eq!(gap(&slow), (0.0, 3.1));
        let more = [slow.to_vec(), vec![sample("a", 105.0, 0.0, 0.1, 0.1)]].concat();
        assert_eq!(gap(&more), (0.0, 0.2));
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_is_not_taken_for_a_precise_one() {
        let set = [
            sample("a", 100.0, 0.0, 0.1, 0.1),
            sample("b", 101.0, 0.0, 0.1, 0.1),
            sample("a", 102.0, 9.0, 0.1, 0.1),
        ];
        assert_eq!(gap(&set), (0.0, 9.2));
    }
}
