//! Decisions as data.

#[test]
fn every_case_is_decided_as_written() {
    testkit::cases::check::<etcd_snapshot::EtcdSnapshot>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases"
    ));
}
