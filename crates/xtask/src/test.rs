//! `cargo xtask test`: every test.

use crate::{
    ansible::Ansible,
    campaign, check, demo, deps, examples, fuzz, matrix, programs,
    run::{MUSL, MUSL_ARM, cargo, execute, is_root, run_reading, say, target_dir, without_lab},
    scenarios, stage,
    steps::{Steps, Tally, counted},
};
use anyhow::{Context, bail};

/// What a step needs besides the packages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Root, and a machine where the lab can be up.
    Lab,
}

/// A kind of test.
struct Step {
    name: &'static str,
    needs: Needs,
    run: fn() -> anyhow::Result<Tally>,
}

/// Every kind of test, in order. Another one is another line here and a function that counts.
const STEPS: &[Step] = &[
    Step {
        name: "unit, case, law, live and protocol tests",
        needs: Needs::Nothing,
        run: programs::tally,
    },
    Step {
        name: "protocol on aarch64 (qemu-user)",
        needs: Needs::Nothing,
        run: protocol_on_aarch64,
    },
    Step {
        name: "protocol of a module's own program",
        needs: Needs::Nothing,
        run: protocol_of_one,
    },
    Step { name: "the request decoder, fuzzed", needs: Needs::Nothing, run: fuzz::tally },
    Step { name: "transport (sshd, ansible-core)", needs: Needs::Nothing, run: matrix::transport },
    Step {
        name: "every ansible-core, and the tools of users",
        needs: Needs::Nothing,
        run: matrix::tally,
    },
    Step {
        name: "faults around the operations on etcd (root)",
        needs: Needs::Lab,
        run: campaign::etcd::short,
    },
    Step { name: "the main job, under watch (lab)", needs: Needs::Lab, run: demo::as_test },
    Step {
        name: "killed at three task boundaries (lab)",
        needs: Needs::Lab,
        run: campaign::three_boundaries,
    },
    Step { name: "named scenarios (lab)", needs: Needs::Lab, run: scenarios::as_test },
    Step { name: "the documentation's examples (lab)", needs: Needs::Lab, run: examples::as_test },
    Step { name: "molecule (lab)", needs: Needs::Lab, run: molecule },
];

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let Chosen { lab, only } = Chosen::from(args)?;
    if lab && !is_root() {
        bail!(
            "the lab and the tests over sshd need root; \"cargo xtask test --no-lab\" runs the rest without"
        );
    }
    let mut steps = Steps::default();
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut there = true;
    steps.step("what the machine needs", || {
        there = false;
        deps::all(lab)?;
        there = true;
        Ok(Tally::default())
    });
    if !there {
        steps.finish();
        return Ok(());
    }
    if !lab {
        say("QUORATE_NO_LAB=1: tests that need root or the lab are left out");
        without_lab();
    }
    if wanted("check") {
        check::all(&mut steps);
    }
    for step in STEPS.iter().filter(|step| wanted(step.name)) {
        if step.needs == Needs::Lab && !lab {
            steps.skip(step.name, "--no-lab");
        } else {
            steps.step(step.name, step.run);
        }
    }
    steps.finish();
    Ok(())
}

struct Chosen {
    lab: bool,
    only: Option<String>,
}

impl Chosen {
    fn from(args: &[String]) -> anyhow::Result<Self> {
        let mut chosen = Self { lab: true, only: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--no-lab" => chosen.lab = false,
                "--only" => {
                    let part = args.next().context("--only needs a part of a step's name")?;
                    chosen.only = Some(part.clone());
                }
                other => {
                    bail!("unknown argument {other:?}: [--no-lab] [--only <part of a step's name>]")
                }
            }
        }
        Ok(chosen)
    }
}

/// The protocol tests of the multi-call program, with the other architecture's program under an emulator.
fn protocol_on_aarch64() -> anyhow::Result<Tally> {
    protocol("quorate", MUSL_ARM, "qemu-aarch64-static ")
}

/// The same tests with the program that goes to `library/`; the module is the one they name.
fn protocol_of_one() -> anyhow::Result<Tally> {
    protocol("haproxy_pool", MUSL, "")
}

/// The protocol tests with a program of that target, started behind these words.
fn protocol(name: &str, target: &str, words: &str) -> anyhow::Result<Tally> {
    let what = ["--workspace", "--bin", name, "--example", "trouble", "--target", target];
    execute(cargo(["build", "--quiet"]).args(what))?;
    let program = target_dir().join(target).join("debug").join(name);
    let mut tests = programs::it_of("quorate")?;
    let line = format!("{words}{}", program.display());
    counted(tests.arg("protocol::").env("QUORATE_PROTOCOL_PROGRAM", line))
}

/// The scenarios of molecule. Another one is another name here.
const SCENARIOS: &[&str] = &["replace"];

/// Each scenario, in a lab that is brought up for it.
fn molecule() -> anyhow::Result<Tally> {
    let ansible = Ansible::new(stage::dev()?, target_dir().join("molecule"))?;
    let mut tally = Tally::default();
    for scenario in SCENARIOS {
        execute(&mut ansible.lab(&["up"]))?;
        let passed = run_reading(&mut ansible.molecule(scenario)?, |_| ())?;
        tally.add(Tally::one(passed));
    }
    execute(&mut ansible.lab(&["down"]))?;
    Ok(tally)
}
