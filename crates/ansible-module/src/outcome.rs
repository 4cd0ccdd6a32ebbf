//! From the end of a run to the members of the reply.

use crate::{End, Json, Module, Request, Run, Standing, secret::HIDDEN};
use serde_json::{Map, json};
use std::fmt;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Fault(error) => write!(f, "failed to {error:#}"),
            Self::Surprise(step) => {
                write!(
                    f,
                    "stopped: the world changed under the run, and going on would need a step that its plan did not have: {step}; look at the cluster, then run again"
                )
            }
            Self::Unsettled { step, last } if last.is_empty() => {
                write!(f, "not done in time: {step}; it is safe to run again")
            }
            Self::Unsettled { step, last } => {
                write!(f, "not done in time: {step}; last seen: {last}; it is safe to run again")
            }
            Self::Stopped => f.write_str("stopped by a signal; it is safe to run again"),
            Self::Unheard => {
                f.write_str("stopped: the controller is gone; it is safe to run again")
            }
        }
    }
}

/// Sentences of steps.
fn sentences<S: fmt::Display>(steps: &[S]) -> Json {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}

/// The reply of a run that ended, one way or the other.
pub(crate) fn reply<M: Module>(
    request: &Request,
    wanted: &M::Wanted,
    run: &Run<M>,
    end: Result<M::Observed, End>,
) -> Map<String, Json> {
    match end {
        Ok(after) => settled::<M>(request, wanted, run, &after),
        Err(End::Refused(refusal)) if refusal.standing == Standing::Unmet && request.check => {
            // In a whole playbook under --check the earlier task that would bring this about has only said that it would.
            let text = format!("needs first: {}", refusal.text);
            object(json!({"changed": true, "failed": false, "needs": [refusal.text], "msg": text}))
        }
        Err(end) => failed(run, &end),
    }
}

fn settled<M: Module>(
    request: &Request,
    wanted: &M::Wanted,
    run: &Run<M>,
    after: &M::Observed,
) -> Map<String, Json> {
    let changed = if request.check {
        run.shown.iter().any(|step| M::kind(step) == crate::Kind::Change)
    } else {
        run.attempted
    };
    let after_view = json!(M::view(after));
    let mut reply = match after_view.clone() {
        Json::Object(view) => view,
        _ => Map::new(),
    };
    reply.insert("changed".into(), changed.into());
    reply.insert("failed".into(), false.into());
    let warnings = M::warnings(wanted, run.before.as_ref().unwrap_or(after));
    if !warnings.is_empty() {
        reply.insert("warnings".into(), warnings.into());
    }
    if M::READ_ONLY {
        return reply;
    }
    let steps = if request.check { &run.shown } else { &run.done };
    reply.insert("steps".into(), sentences(steps));
    let before = run.before.as_ref().map(|before| json!(M::view(before))).unwrap_or_default();
    if request.diff {
        reply.insert("diff".into(), json!({"before": before.clone(), "after": after_view}));
    }
    reply.insert("before".into(), before);
    reply
}

fn failed<M: Module>(run: &Run<M>, end: &End) -> Map<String, Json> {
    let left: Vec<_> = run
        .shown
        .iter()
        .filter(|step| !run.done.contains(step) && !run.in_doubt.contains(step))
        .cloned()
        .collect();
    let mut reply =
        object(json!({"changed": run.attempted, "failed": true, "msg": end.to_string()}));
    if let End::Refused(refusal) = end {
        reply.insert("refused".into(), true.into());
        reply.insert(
            "refusal".into(),
            json!({"code": refusal.code, "text": refusal.text, "standing": refusal.standing}),
        );
    }
    if run.attempted || !run.shown.is_empty() {
        reply.insert("steps_done".into(), sentences(&run.done));
        reply.insert("steps_in_doubt".into(), sentences(&run.in_doubt));
        reply.insert("steps_left".into(), sentences(&left));
    }
    reply
}

/// The arguments as Ansible repeats them, with what is secret hidden.
pub(crate) fn invocation(request: &Request, secret: &dyn Fn(&str) -> bool) -> Json {
    let hide = |(key, value): (&String, &Json)| {
        (key.clone(), if secret(key) { HIDDEN.into() } else { value.clone() })
    };
    json!({"module_args": request.args.iter().map(hide).collect::<Map<_, _>>()})
}

/// The members of an object; nothing of anything else.
pub(crate) fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
