//! The decision.

use crate::{
    args::{State, Wanted},
    refuse::Unsafe,
    state::{Act, Member, Node, Observed, Pod, Ready, Step},
};
use ansible_module::Refusal;

/// A kubelet that goes on being heard of for this long runs, whatever was said.
const SILENT_BY: u64 = kube_cluster::BLIND_AFTER.as_secs() + 20;

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let acts = match (wanted.state, &observed.node) {
        (State::Current, _) => Ok(vec![]),
        (State::Ready, _) => ready(wanted, observed),
        (State::Absent, None) => Ok(forget(observed)),
        (State::Uncordoned, Some(node)) => Ok(uncordoned(node)),
        (State::Cordoned | State::Drained, None) if wanted.uid.is_some() => Ok(vec![]),
        (_, None) => Err(Unsafe::NoNode),
        (_, Some(node)) if is_another(wanted, node) => Ok(vec![]),
        (State::Cordoned, Some(node)) => Ok(cordoned(node)),
        (State::Drained, Some(node)) => drained(wanted, observed, node),
        (State::Absent, Some(node)) => absent(wanted, observed, node),
    };
    let uid = observed.node.as_ref().map(|node| node.uid.clone()).unwrap_or_default();
    // The Secret outlives the Node: its step is the same with and without one.
    let uid =
        |act: &Act| if matches!(act, Act::ForgetPassword(_)) { String::new() } else { uid.clone() };
    let step = |act| Step { uid: uid(&act), act, node: wanted.name.clone() };
    let acts = acts.map_err(|reason| reason.refusal(&wanted.name))?;
    Ok(acts.into_iter().map(step).collect())
}

/// What a user should know beforehand.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let Some(node) = &observed.node else { return vec![] };
    let name = &wanted.name;
    match wanted.state {
        State::Cordoned | State::Drained | State::Absent if is_another(wanted, node) => {
            let (is, was) = (&node.uid, wanted.uid.as_deref().unwrap_or_default());
            vec![format!(
                "the Node {name} has UID {is}, the one that was meant ({was}) is gone: nothing was done to this one"
            )]
        }
        State::Absent if !node.is_blind() && !node.deleting => {
            vec![format!(
                "the kubelet of {name} was heard of {} s ago: unless it is stopped it registers the Node again",
                node.lease_age.unwrap_or_default()
            )]
        }
        _ => vec![],
    }
}

/// The one that was meant is gone, and this one only has its name.
fn is_another(wanted: &Wanted, node: &Node) -> bool {
    wanted.uid.as_ref().is_some_and(|uid| *uid != node.uid)
}

fn cordoned(node: &Node) -> Vec<Act> {
    if node.cordoned { vec![] } else { vec![Act::Cordon] }
}

fn uncordoned(node: &Node) -> Vec<Act> {
    let steps = [(node.out_of_service, Act::InService), (node.cordoned, Act::Uncordon)];
    steps.into_iter().filter(|(needed, _)| *needed).map(|(_, act)| act).collect()
}

fn ready(wanted: &Wanted, observed: &Observed) -> Result<Vec<Act>, Unsafe> {
    let node = observed.node.as_ref();
    if node.is_some_and(|node| node.ready == Ready::Yes && !node.is_blind() && !node.deleting) {
        return Ok(vec![]);
    }
    if is_over(wanted, observed) {
        let seen = node.map(|node| (node.ready, node.lease_age));
        return Err(Unsafe::NotReady { after: wanted.timeout.as_secs(), seen });
    }
    Ok(vec![Act::AwaitReady])
}

fn is_over(wanted: &Wanted, observed: &Observed) -> bool {
    observed.elapsed >= wanted.timeout.as_secs()
}

/// Another node could carry the cluster alone, or this one carries none of it.
fn spare(observed: &Observed, node: &Node) -> Result<(), Unsafe> {
    let another = observed.others.iter().any(|other| other.missing.is_empty());
    if node.control_plane && !another {
        return Err(Unsafe::LastControlPlane { others: observed.others.clone() });
    }
    Ok(())
}

fn drained(wanted: &Wanted, observed: &Observed, node: &Node) -> Result<Vec<Act>, Unsafe> {
    let mut acts = cordoned(node);
    let busy = observed.leaving().next().is_some();
    if busy || !observed.attachments.is_empty() {
        acts.extend(if wanted.out_of_service {
            give_up(wanted, observed, node)?
        } else {
            evict(wanted, observed, node)?
        });
    }
    if !acts.is_empty() {
        spare(observed, node)?;
    }
    Ok(acts)
}

fn awaits(observed: &Observed) -> impl Iterator<Item = Act> {
    let busy = observed.leaving().next().is_some();
    let attached = !observed.attachments.is_empty();
    busy.then_some(Act::AwaitGone).into_iter().chain(attached.then_some(Act::AwaitDetached))
}

fn evict(wanted: &Wanted, observed: &Observed, node: &Node) -> Result<Vec<Act>, Unsafe> {
    if node.is_blind() {
        return Err(Unsafe::Blind { age: node.lease_age });
    }
    let staying = || observed.leaving().filter(|pod| !pod.terminating);
    let lost = |pod: &&Pod, allowed: bool| !allowed && !pod.finished;
    let names =
        |pods: &mut dyn Iterator<Item = &Pod>| pods.map(|pod| pod.name.clone()).collect::<Vec<_>>();
    let unmanaged = names(&mut staying().filter(|pod| pod.unmanaged && lost(pod, wanted.force)));
    let emptydir =
        names(&mut staying().filter(|pod| pod.empty_dir && lost(pod, wanted.delete_emptydir_data)));
    if !unmanaged.is_empty() || !emptydir.is_empty() {
        return Err(Unsafe::Lost { unmanaged, emptydir });
    }
    if is_over(wanted, observed) {
        return Err(overdue(wanted, observed));
    }
    Ok(staying().next().map(|_| Act::Evict).into_iter().chain(awaits(observed)).collect())
}

/// The node is powered off: nothing on it can be told to end, nor has to be.
fn give_up(wanted: &Wanted, observed: &Observed, node: &Node) -> Result<Vec<Act>, Unsafe> {
    if !node.is_blind() && observed.elapsed >= SILENT_BY {
        return Err(Unsafe::Alive { age: node.lease_age.unwrap_or_default() });
    }
    if is_over(wanted, observed) {
        return Err(overdue(wanted, observed));
    }
    let mut acts = vec![];
    acts.extend((!node.is_blind()).then_some(Act::AwaitSilence));
    acts.extend((!node.out_of_service).then_some(Act::OutOfService));
    acts.extend(awaits(observed));
    Ok(acts)
}

fn overdue(wanted: &Wanted, observed: &Observed) -> Unsafe {
    let held = observed.leaving().map(|pod| {
        let why = match &pod.held {
            Some(held) => held.clone(),
            None if pod.terminating => "is terminating".into(),
            None => "was not evicted".into(),
        };
        (pod.name.clone(), why)
    });
    Unsafe::DrainTimeout {
        after: wanted.timeout.as_secs(),
        pods: held.collect(),
        attachments: observed.attachments.clone(),
    }
}

fn forget(observed: &Observed) -> Vec<Act> {
    observed.password.iter().cloned().map(Act::ForgetPassword).collect()
}

fn absent(wanted: &Wanted, observed: &Observed, node: &Node) -> Result<Vec<Act>, Unsafe> {
    let deleted = observed.deleted.as_ref();
    if deleted.is_some_and(|uid| *uid != node.uid) {
        return Err(Unsafe::Registered { uid: node.uid.clone() });
    }
    if node.deleting || deleted.is_some() {
        if is_over(wanted, observed) {
            return Err(Unsafe::Finalizers {
                after: wanted.timeout.as_secs(),
                finalizers: node.finalizers.clone(),
            });
        }
        return Ok([vec![Act::AwaitDeleted], forget(observed)].concat());
    }
    spare(observed, node)?;
    match &observed.member {
        Member::Unneeded | Member::Unlisted => {}
        Member::Listed(member) => return Err(Unsafe::MemberListed { member: member.clone() }),
        Member::Unasked => return Err(Unsafe::EtcdUnasked),
        Member::Unknown(why) => return Err(Unsafe::EtcdUnknown { why: why.clone() }),
    }
    Ok([vec![Act::Delete, Act::AwaitDeleted], forget(observed)].concat())
}
