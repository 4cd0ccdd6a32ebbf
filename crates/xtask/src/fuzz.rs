//! The request decoder under libFuzzer, for a bounded time.

use crate::{
    deps,
    run::{command, root, run_reading, target_dir},
    steps::Tally,
};
use std::fs;

/// Long enough for a million requests: what is deeper is looked for by hand (fuzz/README.md).
const SECONDS: u32 = 20;

/// A target that finds nothing is one test that passed.
pub fn tally() -> anyhow::Result<Tally> {
    let own = target_dir().join("fuzz");
    // The first corpus takes what is found, the second is only read: a test changes nothing in the checkout.
    let found = own.join("corpus");
    fs::create_dir_all(&found)?;
    // Without a sanitizer the stable compiler does; the decoder has no unsafe code that one could look into.
    let mut fuzz = command(deps::cargo_fuzz()?, ["fuzz", "run", "--sanitizer", "none"]);
    fuzz.arg("--target-dir").arg(&own).arg("request").arg(&found).arg("fuzz/corpus/request");
    fuzz.arg("--").arg(format!("-max_total_time={SECONDS}"));
    fuzz.arg(format!("-dict={}", root().join("fuzz/request.dict").display()));
    fuzz.arg(format!("-artifact_prefix={}/", own.display()));
    let passed = run_reading(fuzz.args(["-verbosity=0", "-print_final_stats=1"]), |_| ())?;
    Ok(Tally::one(passed))
}
