//! The module as a program of its own.

fn main() {
    ansible_module::main(&[ansible_module::Entry::of::<etcd_recover::EtcdRecover>()])
}
