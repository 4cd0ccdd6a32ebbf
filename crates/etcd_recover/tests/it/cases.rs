//! Every refusal and every plan, as data.

use etcd_recover::EtcdRecover;

#[test]
fn decisions_are_as_written() {
    testkit::cases::check::<EtcdRecover>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
}
