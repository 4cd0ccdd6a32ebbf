//! What must hold in the end, whatever went wrong.

use crate::{
    clients::{Acknowledged, PREFIX},
    cluster::Cluster,
    history::{Call, settled},
};
use anyhow::{Context, bail};
use etcd_client::GetOptions;
use serde::Serialize;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// What the checker says of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is linearizable.
    Linearizable,
    /// It is not.
    Illegal,
    /// The checker gave up.
    Unknown,
}

/// The acknowledged keys that a member does not have, for each of these.
///
/// The reads are linearizable: a member answers from its own store, when that has all that was committed before the question.
pub async fn lost(
    cluster: &Cluster,
    voters: &[usize],
    acknowledged: &[Acknowledged],
) -> anyhow::Result<BTreeSet<String>> {
    let mut lost = BTreeSet::new();
    for at in voters {
        let mut client = cluster.client(*at).await?;
        let keys = GetOptions::new().with_prefix().with_keys_only();
        let read = client.get(PREFIX, Some(keys)).await;
        let read = read.with_context(|| format!("failed to read the keys through member {at}"))?;
        let there: BTreeSet<&[u8]> = read.kvs().iter().map(etcd_client::KeyValue::key).collect();
        let missing = acknowledged.iter().filter(|one| !there.contains(one.key.as_bytes()));
        lost.extend(missing.map(|one| format!("{} on member {at}", one.key)));
    }
    Ok(lost)
}

/// Asks porcupine about a history, by way of a file; of an illegal one there is a picture beside it.
pub fn linearizable(history: &[Call], dir: &Path) -> anyhow::Result<Verdict> {
    let file = dir.join("history.json");
    fs::write(&file, serde_json::to_string(&settled(history))?)?;
    let mut checker = Command::new(artefacts::linearizable()?);
    let output = checker.arg(&file).arg(dir.join("history.html")).output()?;
    let (said, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match said.trim() {
        "ok" => Ok(Verdict::Linearizable),
        "illegal" => Ok(Verdict::Illegal),
        "unknown" => Ok(Verdict::Unknown),
        other => bail!("the checker ended with {} and said {other:?} {err}", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Kind;

    fn call(kind: Kind, value: &str, output: &str, at: i64) -> Call {
        let (key, expect) = ("k".to_owned(), String::new());
        let (value, output) = (value.to_owned(), output.to_owned());
        Call {
            client: 0,
            key,
            kind,
            value,
            expect,
            called: at,
            returned: Some(at + 5),
            output,
            swapped: false,
        }
    }

    fn judged(name: &str, history: &[Call]) -> Verdict {
        let dir = std::env::temp_dir().join(format!("quorate-judge-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let verdict = linearizable(history, &dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        verdict
    }

    #[test]
    fn the_checker_tells_a_stale_read_and_a_swap_that_was_none() {
        let put = |value, at| call(Kind::Put, value, "", at);
        let get = |output, at| call(Kind::Get, "", output, at);
        assert_eq!(judged("none", &[]), Verdict::Linearizable);
        assert_eq!(
            judged("plain", &[get("", 0), put("a", 10), get("a", 20)]),
            Verdict::Linearizable
        );
        assert_eq!(judged("beside", &[put("a", 10), get("", 12)]), Verdict::Linearizable);
        assert_eq!(judged("stale", &[put("a", 10), put("b", 20), get("a", 30)]), Verdict::Illegal);
        let swap = Call { expect: "a".into(), swapped: true, ..call(Kind::Cas, "c", "", 20) };
        assert_eq!(
            judged("swap", &[put("a", 10), swap.clone(), get("c", 30)]),
            Verdict::Linearizable
        );
        assert_eq!(judged("no-swap", &[put("b", 10), swap, get("c", 30)]), Verdict::Illegal);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_have_happened_or_not() {
        let open = Call { returned: None, ..call(Kind::Put, "a", "", 10) };
        let get = |output, at| call(Kind::Get, "", output, at);
        assert_eq!(
            judged("seen", &[open.clone(), get("", 20), get("a", 30)]),
            Verdict::Linearizable
        );
        assert_eq!(judged("unseen", &[open.clone(), get("", 20)]), Verdict::Linearizable);
        assert_eq!(judged("gone", &[open, get("a", 20), get("", 30)]), Verdict::Illegal);
    }
}
