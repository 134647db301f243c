use friction as _;
use impatient as _;
fn main() -> std::process::ExitCode { friction_cli::main() }
