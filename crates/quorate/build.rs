//! Links the program that ships without tables for unwinding: it aborts. Development builds keep them for their backtraces.

fn main() {
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    println!("cargo::rerun-if-changed=build.rs");
    let set = |name| std::env::var(name).unwrap_or_default();
    if set("PROFILE") == "release" {
        println!("cargo::rustc-link-arg-bins=-T{}/no-unwinding.ld", set("CARGO_MANIFEST_DIR"));
        // A linker script makes GNU ld forget to pack the relocations, which are half a megabyte otherwise. The other architecture's linker is lld.
        if set("CARGO_CFG_TARGET_ARCH") == "x86_64" {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}
