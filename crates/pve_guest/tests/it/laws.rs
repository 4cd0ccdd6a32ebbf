//! The laws, over every combination of what a machine can be and what can be wanted of it.

use ansible_module::Module;
use proxmox_api::{Guest, Label};
use pve_guest::{
    PveGuest,
    args::{State, Wanted},
    state::{Observed, Power, Switch, Vm},
};
use std::time::Duration;

fn wanted(state: State, force: bool, onboot: Option<bool>) -> Wanted {
    let given = proxmox_api::Given {
        host: Some("pve1".into()),
        token_id: Some("t".into()),
        token_secret: Some("s".into()),
        ..Default::default()
    };
    let access = given.resolve(|_| None).unwrap();
    let (timeout, lock_timeout) = (Duration::from_secs(60), Duration::from_secs(600));
    Wanted {
        access,
        node: None,
        vmid: Some(102),
        name: Some("cp2".into()),
        state,
        force,
        timeout,
        lock_timeout,
        onboot,
        lock_until: None,
    }
}

fn worlds() -> Vec<Observed> {
    let label = Label { vmid: 102, name: "cp2".into() };
    let guest = Guest { vmid: 102, name: "cp2".into(), node: "pve1".into(), kind: "qemu".into() };
    let mut worlds = vec![];
    let texts =
        |all: &[Option<&str>]| all.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
    for power in [Power::Running, Power::Paused, Power::Stopped] {
        for lock in texts(&[None, Some("backup"), Some("suspended")]) {
            for ha in
                texts(&[None, Some("started"), Some("stopped"), Some("migrate"), Some("error")])
            {
                for task in texts(&[None, Some("qmstart"), Some("qmshutdown"), Some("vzdump")]) {
                    for switching in [None, Some(Switch::On), Some(Switch::Off)] {
                        for onboot in [true, false] {
                            let vm = Vm {
                                label: label.clone(),
                                node: "pve1".into(),
                                power,
                                lock: lock.clone(),
                                ha: ha.clone(),
                                template: false,
                                onboot,
                                smbios_uuid: None,
                                disks: [("scsi0".to_owned(), "lab:vm-102-disk-0".to_owned())]
                                    .into(),
                                task: task.clone(),
                                switching,
                                failure: None,
                            };
                            worlds.push(Observed { matches: vec![guest.clone()], vm: Some(vm) });
                        }
                    }
                }
            }
        }
    }
    worlds
}

#[test]
fn all_laws_hold_in_every_world() {
    let mut planned = 0;
    for world in worlds() {
        let disks = PveGuest::view(&world).disks;
        // Whatever is done about its power, a machine keeps its identity and its disks.
        let kept = |after: &Observed| {
            let view = PveGuest::view(after);
            view.disks == disks && view.vmid == Some(102) && view.name.as_deref() == Some("cp2")
        };
        for (state, force, onboot) in [
            (State::Started, false, None),
            (State::Stopped, true, Some(false)),
            (State::Current, false, Some(true)),
        ] {
            let wanted = wanted(state, force, onboot);
            planned += usize::from(testkit::laws::check::<PveGuest>(&wanted, &world, kept));
        }
    }
    assert!(planned > 1500, "{planned}");
}

/// "Stopped" is the claim that others build on: nothing else may be said of a machine that could come back.
#[test]
fn nothing_is_left_to_do_only_when_the_machine_cannot_come_back() {
    let stopped = wanted(State::Stopped, true, Some(false));
    for world in worlds() {
        if PveGuest::plan(&stopped, &world).is_ok_and(|steps| steps.is_empty()) {
            let vm = world.vm.as_ref().unwrap();
            assert_eq!(vm.power, Power::Stopped, "{vm:?}");
            assert!(vm.ha.as_deref().is_none_or(|ha| ha == "stopped"), "{vm:?}");
            assert!(vm.task.as_deref() != Some("qmstart") && !vm.onboot, "{vm:?}");
        }
    }
}

#[test]
fn a_machine_of_another_name_gets_no_step() {
    for mut world in worlds() {
        if let Some(vm) = world.vm.as_mut() {
            vm.label.name = "web1".into();
        }
        for state in [State::Current, State::Started, State::Stopped] {
            let refusal = PveGuest::plan(&wanted(state, true, Some(true)), &world).err().unwrap();
            assert_eq!(refusal.code, "name_differs");
        }
    }
}
