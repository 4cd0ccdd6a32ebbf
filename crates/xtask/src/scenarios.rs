//! The named scenarios of the lab. Each begins on a whole cluster and leaves one.

mod foreign;
mod interrupted;
mod quorum_lost;
mod refused;
mod two_controllers;

use crate::{
    ansible::Ansible,
    campaign,
    run::{execute, root, say, target_dir},
    stage,
    steps::Tally,
};
use std::path::PathBuf;

/// What may happen to a control plane, and must end well or be refused.
struct Scenario {
    name: &'static str,
    run: fn(&Ansible) -> anyhow::Result<()>,
}

const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "refused: what would not be safe", run: refused::unsafe_calls },
    Scenario {
        name: "refused: the target is cut off, and so is the power switch",
        run: refused::cut_off,
    },
    Scenario {
        name: "interrupted: versions differ, after the Node was deleted, between import and resize, with a learner added",
        run: interrupted::run,
    },
    Scenario {
        name: "two controllers: the first is paused past its lease",
        run: two_controllers::run,
    },
    Scenario {
        name: "a foreign cluster: the data directory is emptied under its kubelet",
        run: foreign::run,
    },
    Scenario { name: "quorum lost: two of three are powered off for good", run: quorum_lost::run },
];

/// Those whose name has this part, over a lab that is up.
pub fn named(ansible: &Ansible, part: &str) -> Tally {
    all(ansible, SCENARIOS.iter().filter(|scenario| scenario.name.contains(part)))
}

/// The refusals, and one of the longer ones that the commit's hash chooses, in a lab that is brought up for it: a step of `cargo xtask test`.
pub fn as_test() -> anyhow::Result<Tally> {
    let ansible = Ansible::new(stage::dev()?, target_dir().join("scenarios"))?;
    execute(&mut ansible.lab(&["up"]))?;
    let [number, ..] = campaign::of_hash()?;
    let (refused, longer) = SCENARIOS.split_at(2);
    let one = longer.get(number % longer.len());
    Ok(all(&ansible, refused.iter().chain(one)))
}

fn all<'a>(ansible: &Ansible, scenarios: impl Iterator<Item = &'a Scenario>) -> Tally {
    let mut tally = Tally::default();
    for Scenario { name, run } in scenarios {
        say(&format!("\n-- {name}"));
        match run(ansible) {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                say(&format!("error: {name}: {error:#}"));
                tally.failed += 1;
            }
        }
    }
    tally
}

/// A file beside the scenarios.
fn file(name: &str) -> PathBuf {
    root().join("crates/xtask/scenarios").join(name)
}
