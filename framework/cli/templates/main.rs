use friction as _;       // the bundled plugins
use {{ident}} as _;
fn main() -> std::process::ExitCode { friction_cli::main() }
