//! What a member's metrics tell that its API does not: how slow its disk is, and what waits.

use serde::{Deserialize, Serialize};

/// A few of etcd's own metrics (`etcd_*` of its metrics endpoint). What is not there stays none.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Whether it has a leader.
    #[serde(default)]
    pub has_leader: Option<bool>,
    /// Syncs of its write-ahead log, since it started.
    #[serde(default)]
    pub fsync: Option<Timing>,
    /// Commits of its database, since it started.
    #[serde(default)]
    pub commit: Option<Timing>,
    /// Its quota in bytes; etcd before 3.6 tells it nowhere else.
    #[serde(default)]
    pub quota: Option<u64>,
    /// Proposals that wait to be committed.
    #[serde(default)]
    pub pending: Option<u64>,
    /// Elections it saw since it started.
    #[serde(default)]
    pub leader_changes: Option<u64>,
    /// Its clock, in seconds since 1970, when it answered; to the second.
    #[serde(default)]
    pub clock: Option<u64>,
    /// By how many seconds its clock is ahead of this host's; within a second of what is real.
    #[serde(default)]
    pub ahead_s: Option<i64>,
}

/// How long something took.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Timing {
    /// How often it was done.
    pub count: u64,
    /// The mean, in milliseconds.
    pub mean_ms: f64,
    /// 99 of 100 took at most this many milliseconds: the upper bound of a bucket, and none beyond the last.
    pub p99_ms: Option<f64>,
}

impl Metrics {
    /// Reads the text format of Prometheus.
    pub fn parse(text: &str) -> Self {
        let number = |name: &str| text.lines().find_map(|line| sample(line, name));
        let whole = |name: &str| number(name).and_then(whole);
        Self {
            has_leader: number("etcd_server_has_leader").map(|value| value > 0.0),
            fsync: timing(text, "etcd_disk_wal_fsync_duration_seconds"),
            commit: timing(text, "etcd_disk_backend_commit_duration_seconds"),
            quota: whole("etcd_server_quota_backend_bytes"),
            pending: whole("etcd_server_proposals_pending"),
            leader_changes: whole("etcd_server_leader_changes_seen_total"),
            clock: None,
            ahead_s: None,
        }
    }
}

/// The value of a sample without labels.
fn sample(line: &str, name: &str) -> Option<f64> {
    line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a number of that range"
)]
fn whole(value: f64) -> Option<u64> {
    (value.is_finite() && (0.0..9e15).contains(&value)).then_some(value as u64)
}

fn timing(text: &str, name: &str) -> Option<Timing> {
    let bucket = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?;
        let (bound, count) = rest.split_once("\"} ")?;
        Some((bound.parse::<f64>().ok()?, count.trim().parse::<f64>().ok()?))
    };
    let buckets: Vec<(f64, f64)> = text.lines().filter_map(bucket).collect();
    let end = |what: &str| text.lines().find_map(|line| sample(line, &format!("{name}{what}")));
    let (count, sum) = (end("_count")?, end("_sum")?);
    let below = buckets.iter().find(|(_, within)| *within >= count * 0.99);
    Some(Timing {
        count: whole(count)?,
        mean_ms: if count > 0.0 { sum / count * 1000.0 } else { 0.0 },
        p99_ms: below
            .filter(|(bound, _)| count > 0.0 && bound.is_finite())
            .map(|(bound, _)| bound * 1000.0),
    })
}

/// Reads the date of an HTTP answer (`Sat, 21 Nov 2026 05:50:38 GMT`) as seconds since 1970.
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let clock: Vec<u64> = words.next()?.split(':').filter_map(|part| part.parse().ok()).collect();
    let [hour, minute, second] = *clock.as_slice() else { return None };
    let month = (MONTHS.find(month).filter(|_| month.len() == 3)? / 3) as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    // the years begin in March, so that the leap day is the last of one (Hinnant, days_from_civil)
    let (year, shifted) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * shifted + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.6.16 gives it, cut to what is read and some of what is not.
    const TEXT: &str = "# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 100
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 980
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 995
etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1000
etcd_disk_wal_fsync_duration_seconds_sum 2
etcd_disk_wal_fsync_duration_seconds_count 1000
etcd_disk_backend_commit_duration_seconds_bucket{le=\"8.192\"} 0
etcd_disk_backend_commit_duration_seconds_bucket{le=\"+Inf\"} 3
etcd_disk_backend_commit_duration_seconds_sum 30
etcd_disk_backend_commit_duration_seconds_count 3
etcd_server_has_leader 1
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_server_proposals_pending 0
etcd_server_leader_changes_seen_total 1
etcd_server_version{server_version=\"3.6.16\"} 1
";

    #[test]
    fn what_is_slow_is_told_by_the_bucket_that_holds_99_of_100() {
        let metrics = Metrics::parse(TEXT);
        let fsync = metrics.fsync.unwrap();
        assert_eq!((fsync.count, fsync.mean_ms, fsync.p99_ms), (1000, 2.0, Some(4.0)));
        let commit = metrics.commit.unwrap();
        assert_eq!((commit.mean_ms, commit.p99_ms), (10_000.0, None), "beyond the last bucket");
        assert_eq!((metrics.quota, metrics.has_leader), (Some(2 << 30), Some(true)));
        assert_eq!((metrics.pending, metrics.leader_changes), (Some(0), Some(1)));
        assert_eq!(Metrics::parse("what is none"), Metrics::default());
    }

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Sat, 21 Nov 2026 05:50:38 GMT"), Some(1_795_240_238));
        assert_eq!(http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for wrong in ["", "now", "Sat, 21 Foo 2026 05:50:38 GMT", "Sat, 21 Nov 2026 05:50 GMT"] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }
}
