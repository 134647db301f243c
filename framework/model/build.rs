//! With feature `cuda`, says beforehand what LLVM's bundle is and where to put it by hand.
//!
//! Burn's CUDA code links LLVM statically. The build script of `tracel-llvm-bundler` downloads it, and where it
//! cannot, its message names neither the folder nor a remedy. This one runs before it fails or beside it.
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    // The version is part of the folder's name, and stands in the lock file.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let (Some(version), Some(data)) = (bundle_version(&lock), data_folder()) else { return };
    let folder = data.join("tracel").join(format!("tracel-llvm-{version}"));
    let mark = folder.join(".tracel-llvm-installed");
    if mark.exists() {
        return;
    }
    let say = |line: &str| println!("cargo::warning={line}");
    say(&format!(
        "feature `cuda` needs LLVM {version}: it is fetched from https://github.com/tracel-ai/tracel-llvm/releases into {}",
        folder.display()
    ));
    say(&format!(
        "where that cannot be fetched: unpack a static LLVM of this version there, so that {} runs, then `touch {}`",
        folder.join("bin/llvm-config").display(),
        mark.display()
    ));
    say("what GPU builds need: framework/guide/models.md");
}

/// The version of `tracel-llvm-bundler` in a lock file, as `23.1.0-4`.
fn bundle_version(lock: &Path) -> Option<String> {
    let text = std::fs::read_to_string(lock).ok()?;
    let (_, after) = text.split_once("name = \"tracel-llvm-bundler\"")?;
    let (_, version) = after.split_once("version = \"")?;
    version.split('"').next().map(String::from)
}

/// The folder that the bundler puts LLVM's folder in: the user's data folder of the platform.
fn data_folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || var("HOME").or_else(|| var("USERPROFILE"));
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => Some(home()?.join("Library/Application Support")),
        Ok("windows") => var("LOCALAPPDATA"),
        _ => var("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share"))),
    }
}
