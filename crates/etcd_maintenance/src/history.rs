//! The age of revisions: etcd keeps none, but every kubelet writes the time into its Lease every ten seconds.

use crate::calls::{Direct, Past};
use etcd_cluster::fault::Fault;
use std::time::Duration;

/// More nodes tell nothing more.
const LEASES: i64 = 64;

/// What a search for the revision of a time found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// The newest revision that is older.
    Revision(i64),
    /// Everything that is older is compacted.
    Nothing,
    /// It cannot be told.
    Unknown(String),
}

/// Finds the newest revision that was written before a time, given since 1970.
///
/// # Errors
/// When a read fails.
pub async fn before(
    member: &Direct,
    prefix: &str,
    newest: i64,
    cutoff: Duration,
) -> Result<Found, Fault> {
    let at = format!("{prefix}/leases/kube-node-lease/");
    let Past::Values(values) = member.past(&at, newest, LEASES).await? else {
        return Ok(Found::Nothing);
    };
    match newest_renewal(&values) {
        None => return Ok(Found::Unknown(format!("no Lease of a node lies below {at}"))),
        Some(time) if time <= cutoff => {
            let late = cutoff.saturating_sub(time).as_secs();
            let why = format!(
                "the newest Lease below {at} was renewed {late} s before the time asked for; do the clocks agree, does a kubelet run?"
            );
            return Ok(Found::Unknown(why));
        }
        Some(_) => {}
    }
    // `low` is old enough, or compacted, or from before the first node; `high` is too young
    let (mut low, mut high, mut readable) = (1, newest, false);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let (old, read) = match member.past(&at, middle, LEASES).await? {
            Past::Compacted => (true, false),
            Past::Values(values) => {
                (newest_renewal(&values).is_none_or(|time| time <= cutoff), true)
            }
        };
        if old {
            (low, readable) = (middle, read);
        } else {
            high = middle;
        }
    }
    Ok(if readable { Found::Revision(low) } else { Found::Nothing })
}

fn newest_renewal(values: &[Vec<u8>]) -> Option<Duration> {
    values.iter().filter_map(|value| renewal(value)).max()
}

/// `spec.renewTime` of a Lease as the apiserver stores it: `k8s\0`, `runtime.Unknown{raw = 2}`, `Lease{spec = 2}`, `LeaseSpec{renewTime = 4}`, `MicroTime{seconds = 1}`.
fn renewal(value: &[u8]) -> Option<Duration> {
    let unknown = value.strip_prefix(b"k8s\0")?;
    let time = [2, 2, 4].iter().try_fold(unknown, |message, number| field(message, *number))?;
    let mut rest = time;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let value = varint(&mut rest)?;
        if tag == 1 << 3 {
            return Some(Duration::from_secs(value));
        }
    }
    None
}

/// The first field of this number that has a length.
fn field(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => _ = varint(&mut rest)?,
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (body, after) = rest.split_at_checked(length)?;
                if tag >> 3 == number {
                    return Some(body);
                }
                rest = after;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    None
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(body.len()).unwrap()], body].concat()
    }

    #[test]
    fn the_time_of_renewal_is_found() {
        let spec = [
            sized(0x0a, b"cp1"),
            vec![0x10, 40],
            // acquireTime, which is older
            sized(0x1a, &[8, 7]),
            sized(0x22, &[8, 0x80, 0xa0, 0xc0, 0xca, 6, 16, 0xe8, 7]),
        ]
        .concat();
        let lease = [sized(0x0a, &sized(0x0a, b"cp1")), sized(0x12, &spec)].concat();
        let about = sized(0x0a, b"coordination.k8s.io/v1");
        let value = [b"k8s\0".to_vec(), sized(0x0a, &about), sized(0x12, &lease), sized(0x1a, b"")]
            .concat();
        assert_eq!(renewal(&value), Some(Duration::from_secs(1_766_854_656)));
    }

    #[test]
    fn what_is_no_lease_has_no_time() {
        for value in
            [&b""[..], b"k8s\0", b"{\"kind\":\"Lease\"}", b"k8s\0\x12\x7f", b"k8s\0\xff\xff\xff"]
        {
            assert_eq!(renewal(value), None);
        }
    }
}
