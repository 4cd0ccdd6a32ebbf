//! The option table as data: what documentation and the controller's `argument_spec` are made from.

use super::{Opt, Type};
use crate::Json;
use serde_json::{Map, json};

/// The options as Ansible's `options:` mapping, in order; descriptions are lists of paragraphs.
pub fn options(table: &[Opt]) -> Json {
    table.iter().map(|opt| (opt.name.to_owned(), option(opt))).collect::<Map<_, _>>().into()
}

/// The returned values as Ansible's `RETURN` mapping.
pub fn returns(ty: &Type) -> Json {
    let mut all = Map::new();
    for value in ty.sub {
        let mut about = shape(&value.ty);
        about.insert("description".into(), paragraphs(value.doc, &value.ty));
        about.insert(
            "returned".into(),
            if value.ty.required { "always" } else { "when known" }.into(),
        );
        if !value.ty.sub.is_empty() {
            about.insert("contains".into(), returns(&value.ty));
        }
        all.insert(value.name.into(), about.into());
    }
    all.into()
}

/// The rules in the shape of `AnsibleModule`'s keyword arguments.
pub fn rules(rules: &[(&str, &str)]) -> Json {
    let mut all = Map::new();
    for (rule, text) in rules {
        let names = |text: &str| {
            text.split(['|', ',']).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
        };
        let Some(one) = (match *rule {
            "required_if" => text.split_once(':').and_then(|(when, needs)| {
                when.split_once('=')
                    .map(|(key, value)| json!([key, value, names(needs), needs.contains('|')]))
            }),
            "required_by" => text.split_once(':').map(|(key, needs)| json!([key, names(needs)])),
            _ => Some(json!(names(text))),
        }) else {
            continue;
        };
        if let Some(list) = all.entry(*rule).or_insert_with(|| json!([])).as_array_mut() {
            list.push(one);
        }
    }
    all.into()
}

fn shape(ty: &Type) -> Map<String, Json> {
    let mut about = Map::new();
    about.insert("type".into(), ty.name.into());
    if let Some(elements) = ty.elements {
        about.insert("elements".into(), elements.into());
    }
    if !ty.choices.is_empty() {
        about.insert(
            "choices".into(),
            ty.choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().into(),
        );
    }
    about
}

fn option(opt: &Opt) -> Json {
    let mut about = shape(&opt.ty);
    about.insert("description".into(), paragraphs(opt.doc, &opt.ty));
    if let Some(default) = opt.default {
        about.insert("default".into(), typed(default, &opt.ty));
    } else if opt.ty.required {
        about.insert("required".into(), true.into());
    }
    if !opt.aliases.is_empty() {
        about.insert("aliases".into(), opt.aliases.to_vec().into());
    }
    if opt.ty.no_log {
        about.insert("no_log".into(), true.into());
    }
    if !opt.ty.sub.is_empty() {
        about.insert("suboptions".into(), options(opt.ty.sub));
        about.insert("rules".into(), rules(opt.ty.rules));
    }
    about.into()
}

/// A default as the type it stands for.
fn typed(default: &str, ty: &Type) -> Json {
    match ty.name {
        "bool" => ["yes", "true", "on", "1"].contains(&default).into(),
        "int" => default.parse::<i64>().map_or_else(|_| default.into(), Json::from),
        "list" => default
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .into(),
        _ => default.into(),
    }
}

fn paragraphs(doc: &str, ty: &Type) -> Json {
    let text = doc.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    let choices = ty
        .choices
        .iter()
        .filter(|(_, doc)| !doc.is_empty())
        .map(|(name, doc)| format!("V({name}): {}", doc.replace('\n', " ")));
    text.chain(choices).filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().into()
}
