//! The `friction` binary: the command line with the plugins of this workspace.
use friction as _;

fn main() -> std::process::ExitCode {
    friction_cli::main()
}
