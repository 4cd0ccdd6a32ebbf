//! From `main` to the reply.

use crate::{
    End, Json, Module, Request, Run, Said,
    driver::Around,
    job::{self, Terms, client},
    options::{At, Options, Shape, Type, Value, spec},
    outcome::{self, object},
    reply,
};
use serde_json::json;
use std::{ffi::OsString, path::Path, time::SystemTime};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// musl's own gives each larger block back to the kernel and asks for it again at once: a stream of messages spent more time in that than in its hash.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A module as the program that contains it sees it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name, without the collection.
    pub name: &'static str,
    /// Its documentation, options and returned values, as data.
    pub spec: fn() -> Json,
    run: fn(Request) -> std::convert::Infallible,
}

impl Entry {
    /// The entry of a module.
    pub const fn of<M: Module>() -> Self {
        Self { name: M::NAME, spec: spec_of::<M>, run: run::<M> }
    }
}

/// The whole of a program that holds these modules.
///
/// Arguments: the file with the request (`-` or `/dev/stdin` for standard input), or `--spec`, or `--version`. A program with several
/// modules takes the one that the request names, else the one it was called as. How it runs as a job, see [`crate::waiting`]:
///
/// ```text
/// --job <token> <process id of the shell> <milliseconds of patience> <seconds alone> <file>
/// --follow <token> <lines seen> <seconds>
/// --leave <token> <seconds>
/// ```
pub fn main(entries: &[Entry]) -> ! {
    reply::install_hook();
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let args: Vec<_> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--job", terms @ .., source] => {
            match Terms::read(terms) {
                Some(terms) => job::begin(terms),
                None => reply::fail(format!("cannot be a job of the terms {terms:?}")),
            }
            serve(entries, &called, source)
        }
        ["--follow" | "--leave", ..] => client::answer(&words),
        ["--spec"] => {
            let all: Vec<_> = entries.iter().map(|entry| (entry.spec)()).collect();
            reply::finish(object(json!({"modules": all})))
        }
        ["--version"] => reply::finish(object(json!({"version": env!("CARGO_PKG_VERSION")}))),
        [source, ..] => serve(entries, &called, source),
        [] => {
            let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
            reply::fail(format!(
                "this is an Ansible module ({}): give it a file with its arguments as JSON, or - for standard input",
                names.join(", ")
            ))
        }
    }
}

fn serve(entries: &[Entry], called: &OsString, source: &str) -> ! {
    let request = match Request::read(source) {
        Ok(request) => request,
        Err(error) => reply::fail(format!("failed to {error:#}")),
    };
    let asked = request.module.rsplit('.').next().unwrap_or_default().to_owned();
    let file = Path::new(called).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let called = file.strip_prefix("AnsiballZ_").unwrap_or(file);
    let named = |name: &str| entries.iter().find(|entry| entry.name == name);
    let entry = match entries {
        [only] => Some(only),
        _ => named(&asked).or_else(|| named(called)),
    };
    let Some(entry) = entry else {
        let all: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        reply::fail(format!(
            "no module {:?} in this program; it has {}",
            if asked.is_empty() { called } else { &asked },
            all.join(", ")
        ))
    };
    match (entry.run)(request) {}
}

fn spec_of<M: Module>() -> Json {
    json!({
        "name": M::NAME,
        "read_only": M::READ_ONLY,
        "about": M::Args::ABOUT,
        "options": spec::options(M::Args::TABLE),
        "rules": spec::rules(M::Args::RULES),
        "returns": spec::returns(&<M::View as Shape>::TYPE),
        "examples": M::EXAMPLES,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the program ends here: there is nobody to give it back to"
)]
fn run<M: Module>(request: Request) -> std::convert::Infallible {
    let started = SystemTime::now();
    let name = if request.module.is_empty() { M::NAME } else { &request.module };
    let args = M::Args::decode(&At::ROOT, &Json::Object(request.args.clone()));
    let wanted = match args.and_then(|args| M::wanted(args, started)) {
        Ok(wanted) => wanted,
        Err(error) => reply::fail(error.text(name)),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => reply::fail(format!("failed to start the runtime: {error}")),
    };
    let mut members = runtime.block_on(drive::<M>(&request, &wanted));
    if request.wants_invocation() {
        members.insert(
            "invocation".into(),
            outcome::invocation(&request, &|key| secret_option(<M::Args as Shape>::TYPE, key)),
        );
    }
    // Dropping it would wait for blocking calls that nobody needs any more; `finish` ends the program.
    std::mem::forget(runtime);
    reply::finish(members)
}

fn secret_option(ty: Type, key: &str) -> bool {
    ty.sub.iter().any(|opt| (opt.name == key || opt.aliases.contains(&key)) && opt.ty.no_log)
}

async fn drive<M: Module>(request: &Request, wanted: &M::Wanted) -> serde_json::Map<String, Json> {
    let (stop, stopped) = watch::channel(false);
    job::stops(stop.clone());
    tokio::spawn(job::opens_its_door());
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(term), Ok(hup), Ok(int)) => _ = tokio::spawn(stop_at([term, hup, int], stop)),
        _ => reply::fail("failed to install the signal handlers"),
    }
    let check = request.check;
    let mut tell = |said: Said<M::Step>| match said {
        Said::Progress { done, in_doubt, left } if !check => {
            let list =
                |steps: &[M::Step]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
            let words = json!({"changed": true, "steps_done": list(done), "steps_in_doubt": list(in_doubt), "steps_left": list(left)});
            reply::remember(object(words));
        }
        Said::Sending(sent) => job::waiting(&sent.to_string()),
        Said::Waiting(what) => job::waiting(what),
        _ => {}
    };
    let around = Around { stop: stopped.clone(), heard: &job::hearing, tell: &mut tell };
    let mut run = Run::<M>::new(wanted, around);
    let mut stopped = stopped;
    let opened = tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => Err(End::Stopped),
        opened = M::open(wanted) => opened.map_err(End::Fault),
    };
    let end = match opened {
        Ok(mut module) => run.drive(&mut module, check).await,
        Err(end) => Err(end),
    };
    let end = match end {
        Err(End::Stopped) if job::was_forgotten() => Err(End::Unheard),
        end => end,
    };
    outcome::reply::<M>(request, wanted, &run, end)
}

async fn stop_at([mut term, mut hup, mut int]: [Signal; 3], stop: watch::Sender<bool>) {
    tokio::select! {
        _ = term.recv() => {}
        _ = hup.recv() => {}
        _ = int.recv() => {}
    }
    _ = stop.send(true);
    // Kept: a channel that closes would look like nobody who can stop.
    std::future::pending::<()>().await;
}
