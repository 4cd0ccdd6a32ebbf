//! The cache: directories that are made once, whole or not at all.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Returns the directory of everything that is costly to make and can be made again.
///
/// `QUORATE_CACHE`, else `$XDG_CACHE_HOME/quorate`, else `~/.cache/quorate`.
///
/// # Errors
/// When none of the three variables is set.
pub fn cache() -> anyhow::Result<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = choose(variable("QUORATE_CACHE"), variable("XDG_CACHE_HOME"), variable("HOME"))
        .context("no place for the cache: none of QUORATE_CACHE, XDG_CACHE_HOME and HOME is set")?;
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make the cache directory {}", dir.display()))?;
    Ok(dir)
}

fn choose(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    own.or_else(|| xdg.map(|dir| dir.join("quorate")))
        .or_else(|| home.map(|dir| dir.join(".cache/quorate")))
}

/// What an artefact is made of: everything that, when it changes, makes another artefact.
#[derive(Clone)]
pub struct Key(Sha256);

impl Key {
    /// Starts a key with the way the artefact is made.
    pub fn new(how: impl AsRef<[u8]>) -> Self {
        Self(Sha256::new()).with(how)
    }

    /// Adds one ingredient; its length goes in too, so that two ingredients never read as one.
    #[must_use]
    pub fn with(mut self, ingredient: impl AsRef<[u8]>) -> Self {
        let bytes = ingredient.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Returns the first 16 hexadecimal digits of the hash, which name the artefact.
    pub fn short(&self) -> String {
        self.0.clone().finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Returns the directory of an artefact, calling `make` with an empty directory if it is not there yet.
///
/// The directory appears by one rename, so a killed build is never taken for a whole one. A file lock makes a
/// second process wait for the first instead of building the same thing beside it.
///
/// # Errors
/// What `make` returns, and whatever keeps the cache from being written.
pub fn once(
    name: &str,
    version: &str,
    key: &Key,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let store = cache()?.join("artefacts");
    once_in(&store, &format!("{name}-{version}"), key, make)
}

fn once_in(
    store: &Path,
    title: &str,
    key: &Key,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let id = format!("{title}-{}", key.short());
    let whole = store.join(&id);
    if whole.is_dir() {
        return Ok(whole);
    }
    fs::create_dir_all(store).with_context(|| format!("cannot make {}", store.display()))?;
    let _lock = lock(&store.join(format!(".{id}.lock")), title)?;
    if whole.is_dir() {
        return Ok(whole);
    }
    let part = store.join(format!(".{id}.part"));
    remove(&part)?;
    fs::create_dir(&part).with_context(|| format!("cannot make {}", part.display()))?;
    let began = Instant::now();
    say(&format!("making {title}"));
    make(&part).with_context(|| format!("cannot make {title}"))?;
    fs::rename(&part, &whole)
        .with_context(|| format!("cannot rename {} to {}", part.display(), whole.display()))?;
    say(&format!("made {title} in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(whole)
}

/// Holds the lock until the returned file is closed, by us or by the kernel when we are killed.
pub(crate) fn lock(path: &Path, title: &str) -> anyhow::Result<File> {
    let file = File::create(path)
        .with_context(|| format!("cannot open the lock file {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            say(&format!("waiting for another process that makes {title}"));
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes a directory that may not be there.
pub(crate) fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Tells whoever waits what is going on; standard output belongs to the caller.
pub(crate) fn say(text: &str) {
    eprintln!("artefacts: {text}");
}

/// Runs a command to its end and returns what it said when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

/// Runs a command to its end and returns its standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow::anyhow!("the program {program:?} is needed and is not installed")
        }
        _ => anyhow::Error::from(error).context(format!("cannot start {program:?}")),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let skip = said.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            said.get(skip..).unwrap_or_default().trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_chooses_the_cache() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(choose(path("/a"), path("/b"), path("/c")), path("/a"));
        assert_eq!(choose(None, path("/b"), path("/c")), path("/b/quorate"));
        assert_eq!(choose(None, None, path("/c")), path("/c/.cache/quorate"));
        assert_eq!(choose(None, None, None), None);
    }

    #[test]
    fn a_key_tells_where_one_ingredient_ends() {
        assert_ne!(Key::new("ab").with("c").short(), Key::new("a").with("bc").short());
        assert_eq!(Key::new("ab").with("c").short(), Key::new("ab").with("c").short());
        assert_eq!(Key::new("").short().len(), 16);
    }

    #[test]
    fn an_artefact_is_made_once_and_a_failed_one_leaves_nothing_in_its_place() {
        let store = std::env::temp_dir().join(format!("quorate-artefacts-{}", std::process::id()));
        let key = Key::new("test");
        let failed = once_in(&store, "thing-1", &key, |_| bail!("no luck"));
        assert_eq!(format!("{:#}", failed.unwrap_err()), "cannot make thing-1: no luck");
        let made =
            once_in(&store, "thing-1", &key, |dir| Ok(fs::write(dir.join("it"), "x")?)).unwrap();
        assert!(made.join("it").is_file());
        assert_eq!(once_in(&store, "thing-1", &key, |_| bail!("made twice")).unwrap(), made);
        fs::remove_dir_all(&store).unwrap();
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the program \"no-such-program\" is needed and is not installed"
        );
    }
}
