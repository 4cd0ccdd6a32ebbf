//! The laws, over generated machines, and that the wrong one cannot be touched.

use ansible_module::Module;
use proxmox_api::Label;
use pve_disk_reimage::{
    PveDiskReimage,
    args::{State, Wanted},
    record::Record,
    state::{Observed, Step, Vm},
};
use std::{collections::BTreeMap, time::Duration};

const UUID: &str = "0ab1f0d2-0000-4000-8000-000000000102";
const OLD: &str = "lab:vm-102-disk-0";
const IMAGE: &str = "local:import/cp.raw";
const GIB: u64 = 1 << 30;

fn wanted(state: State) -> Wanted {
    let given = proxmox_api::Given {
        host: Some("pve1".into()),
        token_id: Some("t".into()),
        token_secret: Some("s".into()),
        ..Default::default()
    };
    Wanted {
        access: given.resolve(|_| None).unwrap(),
        node: None,
        vmid: 102,
        name: "cp2".into(),
        smbios_uuid: Some(UUID.into()),
        digest: None,
        disk: "scsi0".into(),
        condemned: OLD.into(),
        image: Some(IMAGE.into()),
        storage: "lab".into(),
        state,
        timeout: Duration::from_secs(600),
        lock_timeout: Duration::from_secs(600),
        lock_until: None,
    }
}

/// Every value in turn of what a machine can be, independently of each other; repeatable.
struct Dice(u64);

impl Dice {
    fn of<T: Clone>(&mut self, values: &[T]) -> T {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let pick = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        values[usize::try_from(pick).unwrap() % values.len()].clone()
    }
}

fn world(dice: &mut Dice) -> Observed {
    let text = |text: &str| Some(text.to_owned());
    let note = Record {
        disk: "scsi0".into(),
        condemned: OLD.into(),
        size: proxmox_api::Size(8 * GIB),
        image: IMAGE.into(),
    };
    let stale = Record { condemned: "lab:vm-102-disk-5".into(), ..note.clone() };
    let scsi0 = dice.of(&[
        "lab:vm-102-disk-0,discard=on,size=8G",
        "lab:vm-102-disk-0,discard=on,size=8G",
        "lab:vm-102-disk-0,serial=X",
        "lab:vm-102-disk-1,discard=on,size=4G",
        "lab:vm-102-disk-1,discard=on,size=8G",
        "lab:vm-102-disk-1",
    ]);
    let fresh = !scsi0.starts_with(OLD);
    let description = dice.of(&[
        "mine".to_owned(),
        note.write_into("mine"),
        note.write_into(""),
        stale.write_into("mine"),
    ]);
    let mut disks = BTreeMap::from([("scsi0".to_owned(), scsi0.to_owned())]);
    disks.extend(
        dice.of(&[None, Some(("scsi1", "lab:vm-102-disk-7,size=1G"))])
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let mut unused = BTreeMap::new();
    unused.extend(
        dice.of(&[None, Some("unused0")])
            .map(|key| (key.to_owned(), "lab:vm-102-disk-9".to_owned())),
    );
    if fresh && dice.of(&[true, true, false]) {
        unused.insert("unused1".to_owned(), OLD.to_owned());
    }
    let vm = Vm {
        label: Label { vmid: 102, name: dice.of(&["cp2", "cp2", "cp2", "cp2", "web1"]).into() },
        node: "pve1".into(),
        stopped: dice.of(&[true, true, true, false]),
        lock: dice.of(&[None, None, text("backup")]),
        ha: dice.of(&[None, None, text("stopped"), text("started")]),
        template: dice.of(&[false, false, false, false, true]),
        protected: dice.of(&[false, false, false, true]),
        smbios_uuid: dice.of(&[
            text(UUID),
            text(UUID),
            text(UUID),
            text(UUID),
            None,
            text("other"),
        ]),
        digest: "d".into(),
        condemned: if fresh && unused.is_empty() {
            dice.of(&[None, Some(8 * GIB)])
        } else {
            Some(8 * GIB)
        },
        disks,
        unused,
        boot: text("order=scsi0;net0"),
        description,
        pending: dice.of(&[
            vec![],
            vec![],
            vec!["description".into()],
            vec!["memory".into()],
            vec!["boot".into()],
        ]),
        pins: dice.of(&[vec![], vec![], vec![], vec!["before".into()]]),
        image: dice.of(&[Some(4 * GIB), Some(4 * GIB), Some(16 * GIB), None]),
        task: dice.of(&[None, None, text("qmconfig"), text("vzdump"), text("qmstart")]),
        failure: None,
    };
    Observed { disk: "scsi0".into(), condemned: OLD.into(), vm: Some(vm) }
}

fn holds(vm: &Vm, volume: &str) -> bool {
    vm.unused.values().any(|unused| unused == volume)
        || vm.disks.keys().any(|key| vm.drive(key).unwrap().volume == volume)
}

/// Whatever is done, only the condemned volume leaves its place, and it leaves the machine only when that was asked for.
fn nothing_else_is_touched(before: &Vm, after: &Vm, state: State) -> bool {
    let others = |vm: &Vm| {
        vm.disks
            .iter()
            .filter(|(key, _)| *key != "scsi0")
            .map(|(key, text)| (key.clone(), text.clone()))
            .collect::<Vec<_>>()
    };
    let volumes = |vm: &Vm| {
        let used = vm.disks.keys().map(|key| vm.drive(key).unwrap().volume);
        used.chain(vm.unused.values().cloned()).filter(|volume| volume != OLD).collect::<Vec<_>>()
    };
    let options = |vm: &Vm| {
        let drive = vm.drive("scsi0").unwrap();
        drive.options.into_iter().filter(|(key, _)| key != "size").collect::<Vec<_>>()
    };
    others(before) == others(after)
        && volumes(before).iter().all(|volume| holds(after, volume))
        && options(before) == options(after)
        && before.boot == after.boot
        && before
            .description
            .lines()
            .filter(|line| !line.starts_with("quorate:"))
            .all(|line| after.description.contains(line))
        && (state == State::Committed || !holds(before, OLD) || holds(after, OLD))
}

#[test]
fn all_laws_hold_in_every_world() {
    let mut dice = Dice(1);
    let mut planned = BTreeMap::<String, usize>::new();
    for _ in 0..5_000 {
        let observed = world(&mut dice);
        let state = dice.of(&[State::Reimaged, State::Committed]);
        let before = observed.vm.clone().unwrap();
        let kept =
            |after: &Observed| nothing_else_is_touched(&before, after.vm.as_ref().unwrap(), state);
        if testkit::laws::check::<PveDiskReimage>(&wanted(state), &observed, kept) {
            for step in PveDiskReimage::plan(&wanted(state), &observed).unwrap() {
                *planned
                    .entry(format!("{step:?}").split(['{', '(']).next().unwrap().trim().into())
                    .or_default() += 1;
            }
        }
    }
    for step in ["AwaitTask", "AwaitLock", "Swap", "Resize", "Remove"] {
        assert!(planned.get(step).is_some_and(|count| *count > 20), "{planned:?}");
    }
}

/// A step exists only for the machine and the volume that were named, and only when nothing speaks against it.
#[test]
fn the_wrong_machine_cannot_be_touched() {
    let mut dice = Dice(2);
    for _ in 0..50_000 {
        let observed = world(&mut dice);
        let vm = observed.vm.as_ref().unwrap();
        let meant =
            vm.label.name == "cp2" && vm.smbios_uuid.as_deref() == Some(UUID) && !vm.template;
        for state in [State::Reimaged, State::Committed] {
            let Ok(steps) = PveDiskReimage::plan(&wanted(state), &observed) else { continue };
            assert!(meant, "{steps:?} for {vm:?}");
            for step in steps {
                let volume = vm.drive("scsi0").unwrap().volume;
                match step {
                    Step::AwaitTask(label, _) | Step::AwaitLock(label, _) => {
                        assert_eq!(label, vm.label);
                    }
                    Step::Swap { vm: label, record, .. } => {
                        assert!(label == vm.label && volume == OLD && record.condemned == OLD);
                        assert!(
                            vm.stopped && vm.pins.is_empty() && vm.ha.as_deref() != Some("started")
                        );
                    }
                    Step::Resize { vm: label, record } => {
                        assert!(label == vm.label && record.disk == "scsi0");
                    }
                    Step::Remove { vm: label, condemned } => {
                        let noted = Record::find(&vm.description, "scsi0").unwrap();
                        assert!(
                            label == vm.label
                                && condemned == OLD
                                && volume != OLD
                                && noted.condemned == OLD
                        );
                        assert!(
                            vm.unused.values().any(|unused| unused == OLD)
                                && !vm.protected
                                && vm.pins.is_empty()
                        );
                    }
                }
            }
        }
    }
}

/// A vmid that belongs to another machine by now: no combination of everything else gets past it.
#[test]
fn a_reused_vmid_is_refused() {
    let mut dice = Dice(3);
    for _ in 0..20_000 {
        let mut observed = world(&mut dice);
        let vm = observed.vm.as_mut().unwrap();
        if dice.of(&[true, false]) {
            vm.label.name = "web1".into();
        } else {
            vm.smbios_uuid = Some("ffffffff-0000-4000-8000-000000000102".into());
        }
        for state in [State::Reimaged, State::Committed] {
            let refusal = PveDiskReimage::plan(&wanted(state), &observed).err().unwrap();
            assert!(
                ["name_differs", "uuid_differs"].contains(&refusal.code.as_ref()),
                "{refusal:?}"
            );
        }
    }
}
