//! `friction plugins`: lists the plugins, shows their options, pins libraries and processes, prints the manifest's JSON Schema, writes the
//! pages of a guide.
use crate::error::{CliError, Result};
use crate::options::{description, example_text, rows};
use crate::pages;
use crate::pin::{pin, text};
use crate::print::plain;
use friction_checkpoint::bundled::BundledModel;
use friction_core::manifest::{Issues, Source, schema, suggestion};
use friction_core::{Origin, Plugin, Registry};
use friction_study::manifest::{base, registry};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Include the plugins of the libraries and processes that this manifest names.
    #[arg(long, global = true)]
    manifest: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List plugins: kind, name, version, origin and description.
    List,
    /// Show a plugin's options with types, defaults and descriptions, and an example table.
    Show {
        /// The plugin's name.
        name: String,
    },
    /// Write the SHA-256 of each library, and of the files of each process, into the manifest that names it.
    Pin {
        /// The manifest to change.
        manifest: PathBuf,
    },
    /// Print the JSON Schema of manifests, for editors.
    Schema,
    /// Write Markdown pages: the keys of a manifest into `manifest.md`, and each plugin's options into a page in `plugins`.
    Guide {
        /// The folder to write into. Pages in it that were written by hand stay.
        dir: PathBuf,
        /// Write nothing, and fail if a page differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    if let Some(Command::Pin { manifest }) = &args.command {
        return pin(manifest, as_json);
    }
    let known = known(args.manifest.as_deref())?;
    match &args.command {
        None | Some(Command::List) => list(&known, as_json),
        Some(Command::Show { name }) => show(&known, name, as_json),
        Some(Command::Schema) => {
            outln!("{:#}", schema(&known));
            Ok(())
        }
        Some(Command::Guide { dir, check }) => guide(&known, dir, *check, as_json),
        Some(Command::Pin { .. }) => Ok(()),
    }
}

fn known(manifest: Option<&Path>) -> Result<Registry> {
    let Some(path) = manifest else { return Ok(Registry::linked()) };
    let source = Source::parse(&path.display().to_string(), &text(path)?, &[])?;
    let mut issues = Issues::default();
    let found = registry(&source, &base(path), &mut issues);
    if issues.is_empty() { Ok(found) } else { Err(source.locate(issues).into()) }
}

fn origin(p: &Plugin) -> String {
    match &p.origin {
        Origin::Linked => "linked".into(),
        Origin::Library { path, .. } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Origin::Process { command, .. } => plain(&command.join(" ")).chars().take(40).collect(),
    }
}

fn as_value(p: &Plugin) -> Value {
    let (library, process) = match &p.origin {
        Origin::Linked => (Value::Null, Value::Null),
        Origin::Library { path, sha256 } => (json!({"path": crate::print::path(path), "sha256": sha256}), Value::Null),
        Origin::Process { command, sha256 } => (Value::Null, json!({"command": command, "sha256": sha256})),
    };
    json!({"kind": p.maker.kind(), "name": p.name, "version": p.version, "summary": p.summary, "library": library, "process": process})
}

fn list(known: &Registry, as_json: bool) -> Result<()> {
    let models = || BundledModel::all().map(|m| (format!("bundled:{}", m.name), m.summary));
    let all = known.plugins();
    if as_json {
        let model = |(name, summary)| json!({"kind": "model", "name": name, "summary": summary});
        outln!("{:#}", Value::Array(all.iter().map(as_value).chain(models().map(model)).collect()));
        return Ok(());
    }
    let wide = all.iter().map(|p| origin(p).len()).max().unwrap_or(0).max(6);
    for p in all {
        let (kind, origin) = (p.maker.kind().word(), origin(p));
        outln!("{kind:<10} {:<23} {:<8} {origin:<wide$} {}", p.name, p.version, p.summary);
    }
    for (name, summary) in models() {
        outln!("{:<10} {name:<23} {:<8} {:<wide$} {summary}", "model", "", "linked");
    }
    Ok(())
}

fn show(known: &Registry, name: &str, as_json: bool) -> Result<()> {
    let found: Vec<&Plugin> = known.plugins().iter().filter(|p| p.name == name).collect();
    if found.is_empty() {
        let help = suggestion(name, known.plugins().iter().map(|p| p.name.as_str())).unwrap_or_default();
        return Err(CliError::usage(format!("no plugin is called `{name}`: {help}")));
    }
    if as_json {
        let of = |p: &&Plugin| {
            let mut v = as_value(p);
            v["options"] = json!(rows(p));
            v["schema"] = p.options.clone();
            v["example"] = json!(example_text(p));
            v
        };
        outln!("{:#}", Value::Array(found.iter().map(of).collect()));
        return Ok(());
    }
    for p in found {
        outln!("{} `{}` {} ({})\n{}\n", p.maker.kind().word(), p.name, p.version, origin(p), p.summary);
        for line in paragraphs(description(&p.options)) {
            outln!("{line}");
        }
        let options = rows(p);
        if options.is_empty() {
            outln!("It has no options, or does not tell them.\n");
        }
        for o in options {
            let default = if o.default == "-" { "optional".into() } else { o.default };
            let default =
                if default == "required" || default == "optional" { default } else { format!("default {default}") };
            outln!("  {}: {} ({default})", o.key, o.kind);
            for line in wrapped(&o.about, 96) {
                outln!("      {line}");
            }
            for v in &o.values {
                outln!("        {}: {}", v.value, v.about);
            }
        }
        outln!("\nFor example:\n");
        for line in example_text(p).lines() {
            outln!("  {line}");
        }
        outln!();
    }
    Ok(())
}

/// The paragraphs of a doc comment as lines of at most 96 characters, with an empty line behind each paragraph. List items
/// begin lines of their own.
fn paragraphs(text: &str) -> Vec<String> {
    let mut out = vec![];
    for paragraph in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
        let mut parts = paragraph.split("\n- ");
        let first = parts.next().unwrap_or("");
        out.extend(first.strip_prefix("- ").map_or_else(|| wrapped(first, 96), item));
        parts.for_each(|part| out.extend(item(part)));
        out.push(String::new());
    }
    out
}

/// An item of a list as lines, the later ones indented.
fn item(text: &str) -> Vec<String> {
    let lines = wrapped(text, 94).into_iter().enumerate();
    lines.map(|(i, line)| if i == 0 { format!("- {line}") } else { format!("  {line}") }).collect()
}

/// Writes the pages of the plugins into a folder, or reports where the pages in it differ.
fn guide(known: &Registry, dir: &Path, check: bool, as_json: bool) -> Result<()> {
    let all = pages::pages(known, dir)?;
    let stale = pages::stale(dir, &all)?;
    let differing = pages::differing(dir, &all);
    if check {
        let gone = stale.iter().map(|p| format!("{} belongs to a plugin that this program does not have", p.display()));
        let wrong: Vec<String> = differing.into_iter().chain(gone).collect();
        if !wrong.is_empty() {
            let command = format!("friction plugins guide {}", dir.display());
            return Err(CliError::Failed(format!("{}. Write them again: `{command}`", wrong.join("; ")).into()));
        }
        let n = all.len();
        outln!("{}", if as_json { json!({"pages": n}).to_string() } else { format!("all {n} pages are up to date") });
        return Ok(());
    }
    pages::write(dir, &all, &stale)?;
    if as_json {
        let pages: Vec<Value> = all.keys().map(|p| crate::print::path(p)).collect();
        let removed: Vec<Value> = stale.iter().map(|p| crate::print::path(p)).collect();
        outln!("{:#}", json!({"pages": pages, "removed": removed, "changed": differing.len()}));
        return Ok(());
    }
    outln!("{} of {} pages written into {}", differing.len(), all.len(), dir.display());
    for p in stale {
        outln!("removed {}: this program has no such plugin", p.display());
    }
    Ok(())
}

/// Breaks text at spaces into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in text.split_whitespace() {
        let line = out.last_mut().filter(|l| l.is_empty() || l.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(l) if l.is_empty() => l.push_str(word),
            Some(l) => {
                l.push(' ');
                l.push_str(word);
            }
            None => out.push(word.into()),
        }
    }
    out.retain(|l| !l.is_empty());
    out
}
