//! Every refusal and every plan, as data.

use etcd_member::EtcdMember;

#[test]
fn decisions_are_as_written() {
    testkit::cases::check::<EtcdMember>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
}
