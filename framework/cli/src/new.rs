//! `friction new KIND NAME [--dylib | --python]`: writes a crate or a Python file for a new plugin.
use crate::error::{CliError, Result};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kind of plugin.
    #[arg(value_enum)]
    kind: Kind,
    /// The plugin's name in a manifest: small letters, digits and `-`.
    name: String,
    /// Make a dynamic library that any friction loads. Default: a program of its own, with the plugin linked in.
    #[arg(long)]
    dylib: bool,
    /// Make a Python file, which any friction starts as a process of its own. It needs Python's standard library alone.
    #[arg(long, conflicts_with = "dylib")]
    python: bool,
    /// The folder to create. Default: the plugin's name.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Condition,
    Dataset,
    Topics,
    Hook,
    Analyzer,
}

impl Kind {
    fn source(self) -> &'static str {
        match self {
            Kind::Condition => include_str!("../templates/condition.rs"),
            Kind::Dataset => include_str!("../templates/dataset.rs"),
            Kind::Topics => include_str!("../templates/topics.rs"),
            Kind::Hook => include_str!("../templates/hook.rs"),
            Kind::Analyzer => include_str!("../templates/analyzer.rs"),
        }
    }

    /// The plugin in Python, without what all kinds have in common.
    fn python(self) -> &'static str {
        match self {
            Kind::Condition => include_str!("../templates/condition.py"),
            Kind::Dataset => include_str!("../templates/dataset.py"),
            Kind::Topics => include_str!("../templates/topics.py"),
            Kind::Hook => include_str!("../templates/hook.py"),
            Kind::Analyzer => include_str!("../templates/analyzer.py"),
        }
    }

    /// The tables of `study.toml`: the dataset, the topics, the second condition, and further tables. The new plugin
    /// stands in one of them.
    fn tables(self, name: &str) -> [String; 4] {
        let own = format!("plugin = \"{name}\"");
        let fixed = "plugin = \"fixed\"\nrepeat = true".to_string();
        let cut =
            "plugin = \"template\"\nuser = \"nvm. {topic}.\\n\\n{question}\"\nkeep = { tokens = 3, marker = \"...\" }";
        let mut out = ["plugin = \"organism\"".to_string(), fixed, cut.to_string(), String::new()];
        match self {
            Kind::Dataset => out[0] = own,
            Kind::Topics => out[1] = own,
            Kind::Condition => out[2] = own,
            Kind::Hook => out[3] = format!("\n[[hook]]\n{own}\nsite = \"resid_post.1\"\n"),
            Kind::Analyzer => out[3] = format!("\n[[analyzer]]\n{own}\nfactor = \"completion\"\n"),
        }
        out
    }
}

/// The checkout that this program was built from, if it still exists; otherwise the crates come from git.
fn checkout() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    root.join("framework/core/Cargo.toml").is_file().then_some(root)
}

fn dependency(root: Option<&Path>, at: &str, extra: &str) -> String {
    match root {
        Some(root) => format!("{{ path = {:?}{extra} }}", root.join(at).display().to_string()),
        None => format!("{{ git = {:?}{extra} }}", env!("CARGO_PKG_REPOSITORY")),
    }
}

/// Replaces `{{dep:…}}` and `{{dep-bare:…}}` by a dependency on friction's crates.
fn dependencies(text: &str, root: Option<&Path>) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let filled =
            [("{{dep:", ""), ("{{dep-bare:", ", default-features = false")].iter().find_map(|(mark, extra)| {
                let (before, rest) = line.split_once(mark)?;
                let (at, after) = rest.split_once("}}")?;
                Some(format!("{before}{}{after}", dependency(root, at, extra)))
            });
        out.push_str(filled.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

/// Keywords of Rust, reserved ones included: cargo accepts no crate of such a name.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Names of crates that the new one depends on, and of folders in which cargo builds.
const TAKEN: [&str; 17] = [
    "main",
    "lib",
    "src",
    "target",
    "burn",
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "friction",
    "serde",
    "tempfile",
    "build",
    "deps",
    "examples",
    "incremental",
];

/// Refuses a name that a plugin, and its crate if it is one, cannot have.
fn check(name: &str, python: bool) -> Result<()> {
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    if !starts || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') || name.len() > 60 {
        return Err(CliError::usage(format!("`{name}` is no name: use small letters, digits and `-`, a letter first")));
    }
    let refused =
        |what: &str| Err(CliError::usage(format!("`{name}` {what}: choose another name, such as `my-{name}`")));
    let known = friction_core::Registry::linked();
    if known.plugins().iter().any(|p| p.name == name) {
        return refused("is taken");
    }
    if python {
        return Ok(());
    }
    if KEYWORDS.contains(&name) {
        return refused("is a keyword of Rust, which no crate may be called");
    }
    // The new crate's profile would be given twice.
    if include_str!("../templates/profile.toml").contains(&format!("[profile.release.package.{name}]\n")) {
        return refused("is a crate that friction is built with");
    }
    if TAKEN.contains(&name) || name.starts_with("friction-") {
        return refused("is taken");
    }
    Ok(())
}

/// `study.toml` for a new plugin; `plugins` is its section `[plugins]`, if it needs one.
fn study(kind: Kind, name: &str, plugins: &str) -> String {
    let [dataset, topics, condition, more] = kind.tables(name);
    include_str!("../templates/study.toml")
        .replace("{{name}}", name)
        .replace("{{plugins}}", plugins)
        .replace("{{dataset}}", &dataset)
        .replace("{{topics}}", &topics)
        .replace("{{condition}}", &condition)
        .replace("{{more}}", &more)
}

/// Writes a plugin in Python and a study that starts it, pinned.
fn python(args: &Args, dir: &Path, as_json: bool) -> Result<()> {
    let name = args.name.as_str();
    let text = format!("{}{}", args.kind.python(), include_str!("../templates/border.py"))
        .replace("{{version}}", &friction_dylib::VERSION.to_string())
        .replace("{{name}}", name);
    let file = format!("{name}.py");
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(&file), text)?;
    let hash = friction_dylib::digest(&dir.join(&file))?;
    let plugins = format!(
        "\n# After each change of {file}, `friction plugins pin study.toml` writes its SHA-256 anew.\n[plugins]\nprocess = [{{ command = [\"python3\", \"{file}\"], sha256 = {{ \"{file}\" = \"{hash}\" }} }}]\n"
    );
    std::fs::write(dir.join("study.toml"), study(args.kind, name, &plugins))?;
    std::fs::write(dir.join(".gitignore"), "/runs\n")?;
    if as_json {
        let files = [&file, "study.toml", ".gitignore"];
        outln!("{:#}", json!({"path": crate::print::path(dir), "files": files}));
        return Ok(());
    }
    outln!("made {}: {file} is the plugin, study.toml a small study with it", dir.display());
    outln!("  cd {}", dir.display());
    outln!("  friction run study.toml             # runs the study on the bundled organism");
    outln!("  friction plugins pin study.toml     # after each change of {file}");
    Ok(())
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    let name = args.name.as_str();
    check(name, args.python)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        return Err(CliError::usage(format!("{} exists already", dir.display())));
    }
    if args.python {
        return python(args, &dir, as_json);
    }
    let root = checkout();
    let ident = name.replace('-', "_");
    let plugins = if args.dylib {
        let file = format!("target/release/{}{ident}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        format!(
            "\n# After `cargo build --release`: `friction plugins pin study.toml` writes its SHA-256.\n[plugins]\nload = [{{ path = \"{file}\" }}]\n"
        )
    } else {
        String::new()
    };
    let export = if args.dylib { "\nfriction_plugin::export!();\n" } else { "" };
    let fill = |text: &str| {
        text.replace("{{crate}}", name)
            .replace("{{ident}}", &ident)
            .replace("{{name}}", name)
            .replace("{{profile}}\n", include_str!("../templates/profile.toml"))
            .replace("{{export}}\n", export)
    };
    let cargo =
        if args.dylib { include_str!("../templates/dylib.toml") } else { include_str!("../templates/static.toml") };
    let test = if args.dylib {
        include_str!("../templates/test_dylib.rs")
    } else {
        include_str!("../templates/test_static.rs")
    };
    let mut files = vec![
        ("Cargo.toml", dependencies(&fill(cargo), root.as_deref())),
        ("src/lib.rs", fill(args.kind.source()).trim_end().to_string() + "\n"),
        ("tests/study.rs", fill(test)),
        ("study.toml", study(args.kind, name, &plugins)),
        (".gitignore", "/target\n/runs\n".into()),
    ];
    if !args.dylib {
        files.push(("src/main.rs", fill(include_str!("../templates/main.rs"))));
    }
    for sub in ["src", "tests"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    for (file, text) in &files {
        std::fs::write(dir.join(file), text)?;
    }
    // Cargo.lock pins the same versions as this program's, so that compiled dependencies can be reused.
    if let Some(lock) = root.map(|r| r.join("Cargo.lock")).filter(|l| l.is_file()) {
        std::fs::copy(lock, dir.join("Cargo.lock"))?;
    }
    if as_json {
        outln!(
            "{:#}",
            json!({"path": crate::print::path(&dir), "files": files.iter().map(|(f, _)| f).collect::<Vec<_>>()})
        );
        return Ok(());
    }
    outln!("made {}: src/lib.rs is the plugin, study.toml a small study with it", dir.display());
    outln!("  cd {}", dir.display());
    outln!("  cargo test --release                         # runs the study on the bundled organism");
    if args.dylib {
        outln!("  cargo build --release && friction plugins pin study.toml && friction run study.toml");
    } else {
        outln!("  cargo run --release -- run study.toml");
    }
    outln!("A first build compiles friction's dependencies; CARGO_TARGET_DIR of another build shares them.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_refuses_are_refused_first() {
        let said = |name: &str| match check(name, false) {
            Err(CliError::Usage(m)) => m,
            other => format!("{other:?}"),
        };
        for name in ["fn", "async", "gen", "self", "type", "yield"] {
            let told = said(name);
            assert!(told.starts_with(&format!("`{name}` is a keyword of Rust")), "{told}");
            assert!(told.ends_with(&format!("`my-{name}`")), "{told}");
        }
        for name in ["build", "deps", "std", "friction", "friction-cut"] {
            assert!(said(name).starts_with(&format!("`{name}` is taken")), "{}", said(name));
        }
        for name in ["", "My_Cut", "2cut", "cut.", "ümlaut", &"a".repeat(61)] {
            assert!(said(name).contains("is no name"), "{}", said(name));
        }
        for name in ["half", "rayon", "tokenizers"] {
            assert!(said(name).contains("is a crate that friction is built with"), "{}", said(name));
        }
        for name in ["my-fn", "cut2", "async-cut"] {
            assert!(check(name, false).is_ok(), "{}", said(name));
        }
        // A file in Python may be called what a crate may not.
        for name in ["fn", "build", "half"] {
            assert!(check(name, true).is_ok(), "{name}");
        }
        assert!(check("My_Cut", true).is_err());
    }

    #[test]
    fn the_workspace_a_new_crate_and_the_example_are_built_alike() {
        let profile = include_str!("../templates/profile.toml");
        for file in ["Cargo.toml", "experiments/own-condition/Cargo.toml"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(profile), "{file}: its profile is not framework/cli/templates/profile.toml");
        }
    }
}
