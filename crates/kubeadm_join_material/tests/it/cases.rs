//! Decisions an operator can read.

#[test]
fn every_case_is_decided_as_written() {
    testkit::cases::check::<kubeadm_join_material::KubeadmJoinMaterial>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases"
    ));
}
