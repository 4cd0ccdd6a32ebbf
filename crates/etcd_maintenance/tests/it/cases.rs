//! Every refusal and every plan, as data.

use etcd_maintenance::EtcdMaintenance;

#[test]
fn decisions_are_as_written() {
    testkit::cases::check::<EtcdMaintenance>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
}
