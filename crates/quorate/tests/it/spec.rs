//! What `--spec` says is what documentation and the controller's validation are made of.

use crate::program::{over_stdin, quorate, reply};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn modules() -> Vec<Value> {
    let (said, _) = reply(&quorate().arg("--spec").output().unwrap());
    said["modules"].as_array().unwrap().clone()
}

#[test]
fn every_module_documents_itself() {
    for module in modules() {
        let name = module["name"].as_str().unwrap();
        let about = module["about"].as_str().unwrap();
        let first = about.split("\n\n").next().unwrap();
        assert!(
            first.ends_with('.') && first.len() < 130,
            "{name}: the first paragraph is one sentence: {first:?}"
        );
        for (option, said) in module["options"].as_object().unwrap() {
            let described = said["description"].as_array().is_some_and(|all| !all.is_empty());
            assert!(described && said["type"].is_string(), "{name}: {option}: {said}");
        }
        let examples = module["examples"].as_str().unwrap();
        assert!(
            examples.contains(&format!("quorate.controlplane.{name}:")),
            "{name}: the examples do not use it"
        );
        // From ansible-core 2.19 on the source lines of a failing task are printed, secrets and all.
        for (option, _) in
            module["options"].as_object().unwrap().iter().filter(|(_, said)| said["no_log"] == true)
        {
            let literal = examples.lines().filter(|line| {
                line.trim_start().starts_with(&format!("{option}:")) && !line.contains("{{")
            });
            assert_eq!(
                literal.collect::<Vec<_>>(),
                Vec::<&str>::new(),
                "{name}: a secret stands in the examples"
            );
        }
    }
}

#[test]
fn names_are_unique() {
    let modules = modules();
    let names: BTreeSet<_> =
        modules.iter().map(|module| module["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), modules.len());
}

#[test]
fn an_unknown_module_is_named_with_those_that_are_there() {
    let (reply, _) =
        over_stdin(quorate(), &json!({"_ansible_module_name": "quorate.controlplane.nothing"}));
    let msg = reply["msg"].as_str().unwrap();
    assert!(
        msg.starts_with("no module \"nothing\" in this program; it has ")
            && msg.contains("haproxy_pool"),
        "{msg}"
    );
}
