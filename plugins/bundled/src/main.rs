//! The `friction` binary: links the plugins of this workspace into the command line.
use friction_behavior as _;
use friction_conditions as _;
use friction_mmlu_pro as _;
use friction_questions as _;
use friction_residual as _;
use friction_topics as _;

fn main() -> std::process::ExitCode {
    friction_cli::main()
}
