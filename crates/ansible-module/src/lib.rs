//! The Ansible module protocol and the life cycle of a run, written once.
//!
//! A module is a [`Module`]: it validates its arguments, observes the world as a plain value, and plans steps in a pure function. The driver
//! ([`Run`]) does the rest for every module alike: check mode, diff, waiting, deadlines, signals, and exactly one JSON object on standard output.
//!
//! ```text
//! JSON in -> Args -> Wanted -> observe -> plan -+- refusal -> {"failed":true,"refused":true,"refusal":{code,text}}
//!                                               +- []      -> {"changed":false}
//!                                               +- steps, check -> changed, diff = view(project(project(observed)))
//!                                               +- steps        -> loop: apply the head of the newest plan, observe, plan
//! ```
//!
//! The first plan is the *mandate*: the world may shorten or reorder the rest, never add a change to it. There is no state file: a run that was
//! killed is simply run again, and begins by observing.
//!
//! A program is one line: `fn main() { ansible_module::main(&[Entry::of::<MyModule>()]) }`.

extern crate self as ansible_module;

mod driver;
mod entry;
mod job;
mod module;
pub mod options;
mod outcome;
mod refusal;
mod reply;
mod request;
mod secret;

pub use driver::{Around, End, Hearing, Run, Said};
pub use entry::{Entry, main};
pub use job::waiting;
pub use module::{Applied, Kind, Limit, Module};
pub use options::{Bytes, Seconds, Until};
pub use options_derive::{Options, Returns};
pub use refusal::{BadArgs, Refusal, Standing};
pub use request::Request;
pub use secret::{HIDDEN, Secret};
pub use serde_json::Value as Json;
