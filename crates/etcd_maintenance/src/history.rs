//! The age of revisions: etcd keeps none, but every kubelet writes the time into its Lease every ten seconds.

use crate::calls::{Direct, Past};
use etcd_cluster::fault::Fault;
use prost::Message;
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

/// `spec.renewTime` of a Lease as the apiserver stores it: `k8s\0`, then a `runtime.Unknown` around the Lease.
fn renewal(value: &[u8]) -> Option<Duration> {
    let unknown = stored::Unknown::decode(value.strip_prefix(b"k8s\0")?).ok()?;
    let lease = stored::Lease::decode(unknown.raw.as_slice()).ok()?;
    let seconds = lease.spec?.renew_time?.seconds?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// The fields on the way to the time, of `runtime/generated.proto`, `coordination/v1/generated.proto` and `meta/v1/generated.proto`.
mod stored {
    #[derive(prost::Message)]
    pub struct Unknown {
        #[prost(bytes = "vec", tag = "2")]
        pub raw: Vec<u8>,
    }

    #[derive(prost::Message)]
    pub struct Lease {
        #[prost(message, optional, tag = "2")]
        pub spec: Option<LeaseSpec>,
    }

    #[derive(prost::Message)]
    pub struct LeaseSpec {
        #[prost(message, optional, tag = "4")]
        pub renew_time: Option<MicroTime>,
    }

    #[derive(prost::Message)]
    pub struct MicroTime {
        #[prost(int64, optional, tag = "1")]
        pub seconds: Option<i64>,
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
