use k8s_node::K8sNode;

#[test]
fn decisions_are_as_written() {
    testkit::cases::check::<K8sNode>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
}
