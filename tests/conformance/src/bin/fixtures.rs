//! Makes the vectors in the providers' fixture folders; `cargo xtask fixtures` runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    match paybell_conformance::fixtures::write_all() {
        Ok(names) => {
            println!("wrote the vectors of {}", names.join(", "));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
