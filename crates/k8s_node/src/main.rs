//! The module as a program of its own.

fn main() {
    ansible_module::main(&[ansible_module::Entry::of::<k8s_node::K8sNode>()])
}
