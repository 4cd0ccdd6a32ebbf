//! Decisions as data: a directory holds `args.json` and `observed.json`, and what the plan for them must be.
//!
//! `plan.txt` lists the steps, one a line, each with its kind (`C` change, `U` upkeep, `W` wait); an empty file means nothing to do.
//! `refusal.txt` holds the code and the text of a refusal; `error.txt` the text about bad arguments. Exactly one of the three is there.
//! `QUORATE_BLESS=1` writes what the plan is, for a person to read before it is committed.

use ansible_module::{
    Json, Kind, Module,
    options::{At, Value},
};
use serde::de::DeserializeOwned;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The moment at which every case happens: 2026-01-01T00:00:00Z.
pub fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)
}

/// Checks every case below a directory, and that there is one.
///
/// # Panics
/// With every difference at once.
#[expect(clippy::panic, reason = "a test's way to fail")]
pub fn check<M: Module>(dir: impl AsRef<Path>)
where
    M::Observed: DeserializeOwned,
{
    let dir = dir.as_ref();
    let mut cases: Vec<PathBuf> = match fs::read_dir(dir) {
        Ok(entries) => {
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
        }
        Err(error) => panic!("no cases in {}: {error}", dir.display()),
    };
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", dir.display());
    let wrong: Vec<String> = cases.iter().filter_map(|case| difference::<M>(case)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

fn difference<M: Module>(case: &Path) -> Option<String>
where
    M::Observed: DeserializeOwned,
{
    let (file, found) = match decide::<M>(case) {
        Ok(decision) => decision,
        Err(error) => return Some(format!("{}: {error}", case.display())),
    };
    if std::env::var_os("QUORATE_BLESS").is_some() {
        for other in FILES {
            _ = fs::remove_file(case.join(other));
        }
        return fs::write(case.join(file), &found).err().map(|error| error.to_string());
    }
    let held: Vec<_> = FILES.iter().filter(|file| case.join(file).exists()).copied().collect();
    let expected = fs::read_to_string(case.join(file)).unwrap_or_default();
    let same = held == [file] && expected.trim_end() == found.trim_end();
    (!same).then(|| {
        format!(
            "{}: has {}, which says\n{expected}\nfound {file}:\n{found}",
            case.display(),
            held.join(", ")
        )
    })
}

const FILES: [&str; 3] = ["plan.txt", "refusal.txt", "error.txt"];

/// The file that the decision belongs into, and its text.
fn decide<M: Module>(case: &Path) -> Result<(&'static str, String), String>
where
    M::Observed: DeserializeOwned,
{
    let read = |name: &str| fs::read(case.join(name)).map_err(|error| format!("{name}: {error}"));
    let args: Json = serde_json::from_slice(&read("args.json")?)
        .map_err(|error| format!("args.json: {error}"))?;
    let wanted = match M::Args::decode(&At::ROOT, &args).and_then(|args| M::wanted(args, started()))
    {
        Ok(wanted) => wanted,
        Err(error) => return Ok(("error.txt", error.text(M::NAME) + "\n")),
    };
    let observed: M::Observed = serde_json::from_slice(&read("observed.json")?)
        .map_err(|error| format!("observed.json: {error}"))?;
    Ok(match M::plan(&wanted, &observed) {
        Ok(steps) => (
            "plan.txt",
            steps.iter().fold(String::new(), |text, step| {
                text + &format!("{} {step}\n", letter(M::kind(step)))
            }),
        ),
        Err(refusal) => ("refusal.txt", format!("{}: {}\n", refusal.code, refusal.text)),
    })
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Change => 'C',
        Kind::Upkeep => 'U',
        Kind::Wait => 'W',
    }
}
