//! The laws, over every state a host and another can be in.

use ansible_module::{
    Module,
    options::{At, Value},
};
use etcd_recover::{
    EtcdRecover,
    args::{Args, Wanted},
    state::{Observed, Step, Survey, is_fenced, rank},
};
use serde_json::{Value as Json, json};

fn wanted(args: &Json) -> Wanted {
    let args = Args::decode(&At::ROOT, args).unwrap();
    EtcdRecover::wanted(args, testkit::cases::started()).unwrap()
}

fn survey(name: &str, last_index: u64, fenced: bool) -> Survey {
    Survey {
        name: name.into(),
        member_id: format!("a{name}"),
        cluster_id: "c1".into(),
        has_data: true,
        term: 4,
        commit: last_index - 3,
        last_term: 4,
        last_index,
        voters: vec!["acp1".into(), "acp2".into(), "acp3".into()],
        fenced,
        ..Survey::default()
    }
}

/// Every combination of what can be true of this host.
fn worlds() -> Vec<Observed> {
    let mut all = vec![];
    for bits in 0..1_u32 << 11 {
        let is = |at: u32| bits >> at & 1 == 1;
        let mut local = survey("cp2", 100, false);
        let (manifest, unit, aside) = (is(0), is(1), is(2));
        if is(3) {
            local.commit = 100;
        }
        if is(4) {
            local.voters = vec!["acp2".into()];
        }
        let unit_idle = unit && is(5);
        local.running = is(6);
        local.starts = manifest || (unit && !unit_idle);
        local.fenced = is_fenced(&local, aside);
        let other = survey("cp3", if is(7) { 90 } else { 110 }, is(8));
        let parked = is(9) && !manifest;
        all.push(Observed {
            aside,
            remainder: local.running && is(10),
            by_kubelet: manifest || parked,
            parked: if parked { vec!["etcd.yaml".into()] } else { vec![] },
            manifests: if manifest { vec!["etcd.yaml".into()] } else { vec![] },
            unit_idle,
            has_unit: unit,
            backup: "/backup".into(),
            backed_up: is(3),
            free: 1 << 40,
            others: vec![other],
            local,
            ..Observed::default()
        });
    }
    all
}

#[test]
fn every_world_keeps_the_laws() {
    let (mut plans, mut idle, mut refused) = (0, 0, 0);
    for world in worlds() {
        for state in ["surveyed", "fenced", "recovered"] {
            let wanted = wanted(
                &json!({"state": state, "name": "cp2", "confirm": "c1 cp2", "others_stopped": ["cp1"]}),
            );
            // whoever is forced is alone: nobody else can run, and nobody has the data open
            let safe = |now: &Observed| {
                let forces = matches!(
                    EtcdRecover::plan(&wanted, now).unwrap_or_default().first(),
                    Some(Step::Force(_) | Step::KeepTail(_) | Step::SetAside)
                );
                !forces || !(now.local.running || now.local.starts)
            };
            match EtcdRecover::plan(&wanted, &world) {
                Ok(steps) if steps.is_empty() => idle += 1,
                Ok(_) => {
                    plans += 1;
                    assert!(testkit::laws::check::<EtcdRecover>(&wanted, &world, safe));
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{plans} worlds with a plan, {idle} with nothing to do, {refused} refused");
    assert!(plans > 500 && refused > 500);
}

#[test]
fn nobody_is_forced_beside_one_that_may_run_or_holds_more() {
    for world in worlds() {
        for stopped in [vec!["cp1"], vec!["cp1", "cp3"], vec!["cp3"], vec![]] {
            let wanted = wanted(
                &json!({"state": "recovered", "name": "cp2", "confirm": "c1 cp2", "others_stopped": stopped}),
            );
            let steps = EtcdRecover::plan(&wanted, &world).unwrap_or_default();
            if !steps.iter().any(|step| matches!(step, Step::Force(_))) {
                continue;
            }
            let other = &world.others[0];
            assert!(other.fenced || stopped.contains(&"cp3"), "{world:?}");
            assert!(stopped.contains(&"cp1"), "the third was neither surveyed nor named");
            assert!(other.last_index < world.local.last_index);
            let at = |wanted: fn(&Step) -> bool| steps.iter().position(wanted);
            let force = at(|step| matches!(step, Step::Force(_)));
            assert!(at(|step| matches!(step, Step::Backup(_))) < force);
            assert!(world.backed_up || at(|step| matches!(step, Step::Backup(_))).is_some());
        }
    }
}

#[test]
fn the_order_is_that_of_raft() {
    let of = |name: &str, term: u64, last: (u64, u64), commit: u64| Survey {
        term,
        commit,
        last_term: last.0,
        last_index: last.1,
        ..survey(name, 100, false)
    };
    // one that campaigned alone has the highest term and the shorter log
    let lonely = of("lonely", 9, (4, 80), 80);
    let longest = of("longest", 4, (4, 100), 70);
    // a shorter log that was written to in a later term overrules a longer one
    let later = of("later", 5, (5, 90), 60);
    let mut damaged = of("damaged", 9, (9, 900), 900);
    damaged.damage = Some("flipped".into());
    let empty = Survey { name: "empty".into(), ..Survey::default() };
    let table = rank(&lonely, &[empty, longest, damaged, later]);
    let names: Vec<&str> = table.iter().map(|place| place.name.as_str()).collect();
    assert_eq!(names, ["later", "longest", "lonely", "damaged", "empty"]);
    assert_eq!(table.iter().filter(|place| place.best).count(), 1);
}
