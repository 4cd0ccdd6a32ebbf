use super::*;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn claim(holder: &str, target: &str) -> Claim {
    let (operation, duration) = ("replace".into(), Duration::from_mins(15));
    Claim { holder: Holder::new(holder), operation, target: target.into(), duration }
}

fn facts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// What the server makes of a part: RFC 7396 for the two levels that are used.
fn merged(seen: &Seen, part: &Value, before: &mut Value) -> Seen {
    fn merge(into: &mut Value, part: &Value) {
        let Value::Object(part) = part else {
            *into = part.clone();
            return;
        };
        if !into.is_object() {
            *into = json!({});
        }
        for (key, value) in part {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(key);
            } else {
                merge(into.as_object_mut().unwrap().entry(key).or_insert(Value::Null), value);
            }
        }
    }
    merge(before, part);
    let lock = serde_json::from_value::<LockObject>(before.clone()).unwrap().value();
    Seen { lock: Some(lock), date: seen.date }
}

#[test]
fn a_lock_is_taken_resumed_and_released() {
    let mut object = json!({});
    let free = Seen { lock: None, date: at("2026-11-21T08:00:00Z") };
    let first = merged(
        &free,
        &free.created(&claim("a", "cp2"), &facts(&[("old_member_id", "8e9e05c52164694d")])),
        &mut object,
    );
    assert_eq!(first.holder(), Some(&Holder::new("a")));
    assert_eq!(first.operation().unwrap().acquired, "2026-11-21T08:00:00Z");

    let later = Seen { date: at("2026-11-21T08:30:00Z"), ..first };
    let second = merged(
        &later,
        &later.taken(&claim("b", "cp2"), &facts(&[("old_node_uid", "u")])),
        &mut object,
    );
    let open = second.operation().unwrap();
    assert_eq!(open.acquired, "2026-11-21T08:00:00Z", "the operation began then");
    assert_eq!(open.record, facts(&[("old_member_id", "8e9e05c52164694d"), ("old_node_uid", "u")]));
    assert_eq!(open.taken_over_from, Some(Holder::new("a")));
    assert_eq!(second.lock.as_ref().unwrap().transitions, 1);

    let third = merged(&second, &second.released(&Holder::new("b"), "released"), &mut object);
    let lock = third.lock.as_ref().unwrap();
    assert!(lock.holder.is_none() && lock.operation.is_none());
    assert_eq!(
        lock.last.as_deref(),
        Some("replace of cp2, begun 2026-11-21T08:00:00Z, released 2026-11-21T08:30:00Z by \"b\"")
    );
    assert_eq!(object["metadata"]["annotations"].as_object().unwrap().len(), 1, "{object}");
}

#[test]
fn another_operation_starts_with_an_empty_record() {
    let mut object = json!({});
    let free = Seen { lock: None, date: at("2026-11-21T08:00:00Z") };
    let first = merged(
        &free,
        &free.created(&claim("a", "cp2"), &facts(&[("old_member_id", "1")])),
        &mut object,
    );
    let second = merged(&first, &first.taken(&claim("a", "cp3"), &facts(&[])), &mut object);
    assert!(second.operation().unwrap().record.is_empty());
    assert_eq!(second.operation().unwrap().target, "cp3");
}

#[test]
fn a_holder_may_count_on_it_for_its_duration_only() {
    let mut object = json!({});
    let free = Seen { lock: None, date: at("2026-11-21T08:00:00Z") };
    let seen = merged(&free, &free.created(&claim("a", "cp2"), &facts(&[])), &mut object);
    let (a, b) = (Holder::new("a"), Holder::new("b"));
    let on_time = Seen { date: at("2026-11-21T08:15:00Z"), ..seen.clone() };
    assert!(on_time.held_by(&a).is_ok());
    assert_eq!(
        on_time.held_by(&b).unwrap_err(),
        "\"a\" holds it, for operation \"replace\" on \"cp2\""
    );
    let late = Seen { date: at("2026-11-21T08:15:01Z"), ..seen.clone() };
    assert_eq!(
        late.held_by(&a).unwrap_err(),
        "it was last renewed 901 s ago and holds for 900 s: this run was paused for too long"
    );
    let released = merged(&seen, &seen.released(&Holder::new("a"), "released"), &mut object);
    assert_eq!(released.held_by(&a).unwrap_err(), "it was released");
    assert!(free.held_by(&a).is_err());
}

#[test]
fn a_write_names_the_version_it_was_decided_on() {
    let lock = Lock { uid: "u".into(), resource_version: "7".into(), ..Lock::default() };
    let seen = Seen { lock: Some(lock), date: at("2026-11-21T08:00:00Z") };
    for part in [
        seen.taken(&claim("a", "cp2"), &facts(&[])),
        seen.renewed(&facts(&[])),
        seen.released(&Holder::new("a"), "released"),
    ] {
        assert_eq!(part["metadata"]["resourceVersion"], "7");
        assert_eq!(part["spec"]["renewTime"], "2026-11-21T08:00:00.000000Z");
    }
}

#[test]
fn runs_that_lost_the_lock_are_remembered_past_its_release() {
    let mut object = json!({});
    let mut seen = Seen { lock: None, date: at("2026-11-21T08:00:00Z") };
    seen = merged(&seen, &seen.created(&claim("ctl/b/1/10/r", "cp2"), &facts(&[])), &mut object);
    for pid in 2..12 {
        let next = claim(&format!("ctl/b/{pid}/10/r"), "cp2");
        seen = merged(&seen, &seen.taken(&next, &facts(&[])), &mut object);
    }
    seen = merged(&seen, &seen.taken(&claim("somebody", "cp2"), &facts(&[])), &mut object);
    seen = merged(&seen, &seen.taken(&claim("ctl/b/12/10/r", "cp2"), &facts(&[])), &mut object);
    let by = Holder::new("ctl/b/12/10/r");
    seen = merged(&seen, &seen.released(&by, "released"), &mut object);
    let ousted: Vec<_> =
        seen.lock.unwrap().ousted.iter().map(|holder| holder.process().unwrap().pid).collect();
    assert_eq!(
        ousted,
        [4, 5, 6, 7, 8, 9, 10, 11],
        "the latest, and none that may come again under its name"
    );
}

#[test]
fn giving_up_another_runs_lock_ousts_it() {
    let mut object = json!({});
    let free = Seen { lock: None, date: at("2026-11-21T08:00:00Z") };
    let held =
        merged(&free, &free.created(&claim("ctl/b/1/10/r", "cp2"), &facts(&[])), &mut object);
    let gone =
        merged(&held, &held.released(&Holder::new("ctl/b/2/10/r"), "abandoned"), &mut object);
    assert_eq!(gone.lock.unwrap().ousted, [Holder::new("ctl/b/1/10/r")]);
}
