//! Fixtures are embedded with the `sandbox` feature; cargo does not see that they are read.

fn main() {
    println!("cargo:rerun-if-changed=fixtures");
    println!("cargo:rerun-if-changed=build.rs");
}
