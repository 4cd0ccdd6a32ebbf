//! Decisions as data.

#[test]
fn every_case_is_decided_as_written() {
    testkit::cases::check::<pve_guest::PveGuest>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases"
    ));
}
