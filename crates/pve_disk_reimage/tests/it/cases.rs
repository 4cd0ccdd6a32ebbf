//! Decisions as data.

#[test]
fn every_case_is_decided_as_written() {
    testkit::cases::check::<pve_disk_reimage::PveDiskReimage>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases"
    ));
}
