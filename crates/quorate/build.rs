//! Makes the program smaller: packed relocations take a fortieth of the space, and the program that ships has no tables for unwinding, because it aborts.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=no-unwinding.ld");
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    if set("CARGO_CFG_TARGET_ENV") != "musl" {
        return;
    }
    // The other architecture's program is no PIE. musl unpacks them since 1.2.4, binutils packs them since 2.38.
    if set("CARGO_CFG_TARGET_ARCH") == "x86_64" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // Development builds keep their tables, for backtraces.
    if set("PROFILE") == "release" {
        println!("cargo:rustc-link-arg-bins=-T{}/no-unwinding.ld", set("CARGO_MANIFEST_DIR"));
    }
}
