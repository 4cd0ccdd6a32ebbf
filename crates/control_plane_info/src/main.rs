//! The module as a program of its own.

fn main() {
    ansible_module::main(&[ansible_module::Entry::of::<control_plane_info::ControlPlaneInfo>()])
}
