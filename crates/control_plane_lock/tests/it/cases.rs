use control_plane_lock::ControlPlaneLock;

#[test]
fn decisions_are_as_written() {
    testkit::cases::check::<ControlPlaneLock>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
}
