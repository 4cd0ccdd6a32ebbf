fn main() {
    ansible_module::main(&[
        ansible_module::Entry::of::<kubeadm_join_material::KubeadmJoinMaterial>(),
    ])
}
