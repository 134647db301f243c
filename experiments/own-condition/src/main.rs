use friction as _;
use shouting as _;
fn main() -> std::process::ExitCode { friction_cli::main() }
