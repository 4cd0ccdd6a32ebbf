//! Decisions as data.

#[test]
fn decisions() {
    testkit::cases::check::<control_plane_info::ControlPlaneInfo>(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases"
    ));
}
