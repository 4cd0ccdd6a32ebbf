//! Making one reading of what many endpoints told: which cluster, which list, and who speaks for whom.

use crate::{
    calls::Unreadable,
    member::{Member, MemberId},
    reading::{Answer, Reading},
};
use std::collections::{BTreeMap, BTreeSet};

/// The list comes from an endpoint that a quorum confirmed, or else from any, and is marked.
pub(crate) fn of_seeds(
    seen: &BTreeMap<String, Answer>,
    before: Option<MemberId>,
) -> Result<Reading, Unreadable> {
    // once it is known, an endpoint of another cluster is only one that does not help
    let cluster = match before {
        Some(known) => Some(known),
        None => the_cluster(seen)?,
    };
    let of_it =
        |answer: &&Answer| answer.status.as_ref().map(|status| status.cluster_id) == cluster;
    let best = seen
        .values()
        .filter(of_it)
        .filter(|answer| answer.list.is_some())
        .max_by_key(|answer| answer.linearizable);
    let Some((answer, list)) = best.and_then(|answer| Some((answer, answer.list.clone()?))) else {
        let why = |(url, answer): (&String, &Answer)| {
            let learner = answer.status.as_ref().is_some_and(|status| status.learner);
            let other =
                answer.status.as_ref().map(|s| s.cluster_id).filter(|id| Some(*id) != cluster);
            let reason = if learner {
                "is a learner, which serves no list".to_owned()
            } else if let Some(id) = other {
                format!("belongs to another cluster, {id}")
            } else {
                answer.fault.as_ref().map(ToString::to_string).unwrap_or_default()
            };
            (url.clone(), reason)
        };
        return Err(Unreadable::NoList(seen.iter().map(why).collect()));
    };
    let cluster_id = answer.status.as_ref().map(|status| status.cluster_id).unwrap_or_default();
    Ok(Reading {
        cluster_id,
        members: list,
        linearizable: answer.linearizable,
        ..Reading::default()
    })
}

/// Takes the list of a member of the same cluster that a quorum confirmed; tells whether there was one.
pub(crate) fn adopt_better(reading: &mut Reading, seen: &BTreeMap<String, Answer>) -> bool {
    let same = |answer: &&Answer| {
        answer.linearizable
            && answer.status.as_ref().is_some_and(|s| s.cluster_id == reading.cluster_id)
    };
    let Some(list) = seen.values().find(same).and_then(|answer| answer.list.clone()) else {
        return false;
    };
    reading.members = list;
    reading.linearizable = true;
    true
}

/// A member is asked at its own client URL: that an endpoint given leads to it proves nothing for the others that use the URL.
pub(crate) fn answers_of(
    members: &[Member],
    seen: &BTreeMap<String, Answer>,
) -> BTreeMap<MemberId, Answer> {
    let of = |member: &Member| {
        let own = seen.get(&member.id.to_string());
        let at = || {
            seen.values()
                .filter(|answer| member.client_urls.contains(&answer.url))
                .max_by_key(|answer| answer.status.is_some())
        };
        own.or_else(at).map(|answer| (member.id, answer.clone()))
    };
    members.iter().filter_map(of).collect()
}

/// Tells the one cluster that the endpoints belong to.
///
/// Where they belong to several, one may still be *the* cluster: when every endpoint of the others is the client URL of a member
/// that it lists, and not the other way round. A member whose data was emptied has founded a cluster of its own at its old
/// address; that is news about the member and no reason not to look at the rest.
fn the_cluster(seen: &BTreeMap<String, Answer>) -> Result<Option<MemberId>, Unreadable> {
    let of = |answer: &Answer| answer.status.as_ref().map(|status| status.cluster_id);
    let clusters: BTreeMap<MemberId, &String> =
        seen.values().filter_map(|answer| Some((of(answer)?, &answer.url))).collect();
    let owns_the_rest = |id: &&MemberId| {
        let own = |answer: &&Answer| of(answer) == Some(**id);
        let listed: BTreeSet<&String> = seen
            .values()
            .filter(own)
            .flat_map(|answer| answer.list.iter().flatten())
            .flat_map(|member| member.client_urls.iter())
            .collect();
        let others = seen.values().filter(|answer| of(answer).is_some_and(|other| other != **id));
        others.into_iter().all(|answer| listed.contains(&answer.url))
    };
    let owners: Vec<MemberId> = clusters.keys().filter(owns_the_rest).copied().collect();
    match (clusters.len(), owners.as_slice()) {
        (0, _) => Ok(None),
        (_, [one]) => Ok(Some(*one)),
        _ => Err(Unreadable::TwoClusters(
            clusters.into_iter().map(|(id, url)| (url.clone(), id)).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Status;

    fn answer(url: &str, cluster: u64, urls: &[&str]) -> (String, Answer) {
        let member = |(at, url): (usize, &&str)| Member {
            id: MemberId(cluster * 100 + at as u64),
            name: format!("m{at}"),
            client_urls: vec![(*url).to_owned()],
            ..Member::default()
        };
        let status = Status { cluster_id: MemberId(cluster), ..Status::default() };
        let list = urls.iter().enumerate().map(member).collect();
        let answer = Answer {
            url: url.to_owned(),
            status: Some(status),
            linearizable: true,
            list: Some(list),
            ..Answer::default()
        };
        (url.to_owned(), answer)
    }

    #[test]
    fn unrelated_clusters_are_refused_and_both_named() {
        let seen = [answer("a", 1, &["a"]), answer("b", 2, &["b"])].into();
        let error = of_seeds(&seen, None).unwrap_err().to_string();
        assert!(error.contains("a belongs to 1") && error.contains("b belongs to 2"), "{error}");
    }

    #[test]
    fn a_member_that_founded_its_own_is_a_member_of_the_old_one_still() {
        let all = ["a", "b", "c"];
        let seen = [answer("a", 1, &all), answer("b", 2, &["b"]), answer("c", 1, &all)].into();
        let reading = of_seeds(&seen, None).unwrap();
        assert_eq!((reading.cluster_id, reading.members.len()), (MemberId(1), 3));
    }
}
