//! The names of our files, and the moments in them.
//!
//! `etcd-<cluster id>-<moment>.db`, such as `etcd-8e9e05c52164694d-20261121T082233.123Z.db`: sorted by name, the files of a cluster
//! are sorted by time. Beside each lies `<name>.json`, and while it is written it is called `<name>.part`.

use std::time::{Duration, SystemTime};

use etcd_cluster::MemberId;
use jiff::Timestamp;

/// What is added while a file is written.
pub const PART: &str = ".part";
/// What is added for what is known about a file.
pub const ABOUT: &str = ".json";

/// The name of a snapshot of this cluster that was begun at this moment (milliseconds since 1970).
pub fn of(cluster: MemberId, taken_at: i64) -> String {
    let text = show(taken_at).replace([':', '-'], "");
    format!("etcd-{cluster}-{text}.db")
}

/// Cluster and moment, where the name is one of ours to the letter.
pub fn read(name: &str) -> Option<(MemberId, i64)> {
    let (cluster, moment) = name.strip_prefix("etcd-")?.strip_suffix(".db")?.split_once('-')?;
    let part = |from: usize, to: usize| moment.get(from..to);
    let (date, time) =
        ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(9, 11)?, part(11, 13)?, part(13, 18)?));
    let text = format!("{}-{}-{}T{}:{}:{}", date.0, date.1, date.2, time.0, time.1, part(13, 20)?);
    let taken_at = parse(&text)?;
    let cluster: MemberId = cluster.parse().ok()?;
    (of(cluster, taken_at) == name).then_some((cluster, taken_at))
}

/// A moment as RFC 3339, to the millisecond.
pub fn show(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| millis.to_string(), |moment| format!("{moment:.3}"))
}

/// A moment as a user writes it: RFC 3339, or seconds since 1970.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let seconds =
        text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())?;
    // To the nearest: a decimal fraction has no exact double.
    i64::try_from((seconds.as_micros() + 500) / 1000).ok()
}

/// A moment of the system's clock.
pub fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let name = of(MemberId(0x8e9e_05c5_2164_694d), 1_795_249_353_120);
        assert_eq!(name, "etcd-8e9e05c52164694d-20261121T082233.120Z.db");
        assert_eq!(read(&name), Some((MemberId(0x8e9e_05c5_2164_694d), 1_795_249_353_120)));
    }

    #[test]
    fn a_name_of_somebody_else_is_not_ours() {
        let others = [
            "snapshot.db",
            "etcd-snapshot-cp1-1795249353",
            "etcd-8e9e05c52164694d-20261121T082233.120Z.db.part",
            "etcd-8E9E05C52164694D-20261121T082233.120Z.db",
            "etcd-8e9e05c52164694d-20261121T082233Z.db",
            "etcd-8e9e05c52164694d-20261321T082233.120Z.db",
            "etcd-8e9e05c52164694d-20261121 082233.120Z.db",
            "etcd-8e9e05c52164694d-20261121T082233.120Zé.db",
            "etcd--20261121T082233.120Z.db",
        ];
        for name in others {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn moments_are_read_as_users_have_them() {
        let same = [
            "2026-11-21T08:22:33.120Z",
            "2026-11-21T09:22:33.120+01:00",
            "2026-11-21 08:22:33.120+00:00",
            "1795249353.120",
        ];
        for text in same {
            assert_eq!(parse(text), Some(1_795_249_353_120), "{text}");
        }
        assert_eq!(parse("1795249353"), Some(1_795_249_353_000));
        for wrong in ["", "yesterday", "2026-11-21", "2026-11-21T08:22:33", "-5", "NaN", "inf"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(show(1_795_249_353_000), "2026-11-21T08:22:33.000Z");
    }
}
