//! What holds for any bytes at all. Shared with the fuzz target, which includes this file.

use ansible_module::{
    Bytes, Json, Options, Request, Seconds, Until,
    options::{At, Value, groups::KubeOptions},
};
use serde_json::Map;
use std::path::PathBuf;

/// Has an option of every kind.
#[expect(dead_code, reason = "to read an option is all that is asked of most")]
#[derive(Options)]
#[options(
    mutually_exclusive = "text|path",
    required_together = "small,number",
    required_one_of = "text|path|flag",
    required_if = "kind=second:number|sub",
    required_by = "extra:text"
)]
pub struct Args {
    /// A text.
    #[option(alias = "words")]
    pub text: Option<String>,
    /// A path.
    pub path: Option<PathBuf>,
    /// A boolean.
    #[option(default = "no")]
    pub flag: bool,
    /// A small number.
    pub small: Option<u16>,
    /// A number.
    pub number: Option<i64>,
    /// A fraction.
    pub fraction: Option<f64>,
    /// A span of time.
    #[option(default = "1h30m")]
    pub span: Seconds,
    /// A size.
    pub size: Option<Bytes>,
    /// A moment.
    pub until: Option<Until>,
    /// Another text. No secret: each that is read is remembered for as long as the program runs.
    pub extra: Option<String>,
    /// Texts.
    #[option(default = "a, b")]
    pub texts: Vec<String>,
    /// Numbers.
    pub numbers: Vec<u32>,
    /// A choice.
    #[option(default = "first")]
    pub kind: Choice,
    /// Free options.
    pub free: Map<String, Json>,
    /// A dict.
    pub sub: Option<Sub>,
    /// Dicts.
    pub subs: Vec<Sub>,
    /// Options of others.
    #[option(include)]
    pub kube: KubeOptions,
}

/// A choice.
#[derive(Options, Clone, Copy)]
pub enum Choice {
    /// The first.
    First,
    /// The second.
    Second,
    /// What YAML takes for a boolean.
    On,
}

/// A dict.
#[expect(dead_code, reason = "as above")]
#[derive(Options)]
#[options(required_one_of = "name|kind")]
pub struct Sub {
    /// A name.
    pub name: Option<String>,
    /// A choice.
    pub kind: Option<Choice>,
    /// It has to be given.
    #[option(alias = "n")]
    pub need: u64,
}

/// Reads a request, and says whether it could be used. What could not is told in one sentence, which a reply can carry.
pub fn hold(bytes: &[u8]) -> bool {
    let request = match Request::parse(bytes) {
        Ok(request) => request,
        Err(error) => {
            told(&format!("{error:#}"));
            return false;
        }
    };
    assert!(
        request.args.keys().all(|key| !key.starts_with("_ansible_")),
        "Ansible's own keys are no arguments"
    );
    match Args::decode(&At::ROOT, &Json::Object(request.args)) {
        Ok(args) => {
            assert!(
                args.text.is_none() || args.path.is_none(),
                "a rule that was broken let it through"
            );
            true
        }
        Err(error) => {
            told(&error.text("quorate.controlplane.any"));
            false
        }
    }
}

/// One JSON object on one line carries it.
fn told(text: &str) {
    assert!(!text.is_empty(), "an error that says nothing");
    let reply = serde_json::json!({"failed": true, "msg": text}).to_string();
    assert_eq!(reply.lines().count(), 1, "{reply}");
    assert!(serde_json::from_str::<Json>(&reply).is_ok_and(|reply| reply.is_object()), "{reply}");
}
