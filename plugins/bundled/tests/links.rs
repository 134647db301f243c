//! All links, images and paths in the repository's Markdown pages exist.
#![allow(missing_docs, clippy::unwrap_used)]
use pulldown_cmark::{BrokenLink, CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders whose files are named in pages by their path from the root.
const FOLDERS: [&str; 4] = ["framework/", "plugins/", "experiments/", ".ci/"];

/// The parts of a page that are checked.
#[derive(Debug, Default)]
struct Page {
    /// Destinations of links and images, with their lines.
    links: Vec<(usize, String)>,
    /// Words of code that look like paths of the repository.
    paths: Vec<(usize, String)>,
    /// Anchors that links may name after `#`.
    anchors: BTreeSet<String>,
    /// Link references without a definition, with their lines.
    faults: Vec<(usize, String)>,
}

/// Values of attributes in raw HTML, written `name="value"`.
fn attributes<'a>(html: &'a str, names: &[&str]) -> Vec<&'a str> {
    let values = |name: &str| {
        let mark = format!(" {name}=\"");
        html.match_indices(&mark).map(|(at, m)| at + m.len()).collect::<Vec<_>>()
    };
    names.iter().flat_map(|n| values(n)).filter_map(|from| html[from..].split('"').next()).collect()
}

/// The anchor that GitHub gives a heading: small letters, digits, `-` and `_`; a hyphen for each space.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().flat_map(char::to_lowercase);
    kept.filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
        _ => None,
    })
    .collect()
}

impl Page {
    fn read(text: &str) -> Self {
        let line = |at: usize| 1 + text[..at].matches('\n').count();
        let mut undefined = BTreeSet::new();
        let unknown = |link: BrokenLink<'_>| {
            // `[a]` alone is text; `[a][b]` and `[a][]` can only be meant as links.
            if !matches!(link.link_type, LinkType::Shortcut | LinkType::ShortcutUnknown) {
                undefined.insert((link.span.start, link.reference.to_string()));
            }
            None
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
        let events = Parser::new_with_broken_link_callback(text, options, Some(unknown)).into_offset_iter();
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        let mut fenced = false;
        for (event, span) in events {
            let at = line(span.start);
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((at, dest_url.to_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let n = times.entry(slug.clone()).or_default();
                    page.anchors.insert(if *n == 0 { slug } else { format!("{slug}-{n}") });
                    *n += 1;
                }
                Event::Start(Tag::CodeBlock(kind)) => fenced = matches!(kind, CodeBlockKind::Fenced(_)),
                Event::End(TagEnd::CodeBlock) => fenced = false,
                Event::Html(html) | Event::InlineHtml(html) => {
                    page.links.extend(attributes(&html, &["href", "src"]).into_iter().map(|url| (at, url.into())));
                    page.anchors.extend(attributes(&html, &["id", "name"]).into_iter().map(String::from));
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.words(&code, at);
                }
                Event::Text(code) if fenced => page.words(&code, at),
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page.faults = undefined
            .into_iter()
            .map(|(at, name)| (line(at), format!("the reference [{name}] is defined nowhere")))
            .collect();
        page
    }

    /// Collects words of code that begin like paths of the repository.
    fn words(&mut self, code: &str, line: usize) {
        for (i, text) in code.lines().enumerate() {
            for word in text.split_whitespace() {
                let word = word.trim_matches(|c| "\"'`(),;:".contains(c)).trim_end_matches('.');
                if FOLDERS.iter().any(|f| word.starts_with(f)) {
                    self.paths.push((line + i, word.into()));
                }
            }
        }
    }
}

/// A path without `.` and `..`; `None` if it leaves the root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}

/// What is wrong with an absolute URL's form.
fn malformed(url: &str) -> Option<String> {
    let host = match url.split_once(':')? {
        ("https" | "http", rest) => rest.strip_prefix("//").unwrap_or_default().split(['/', '?', '#']).next()?,
        ("mailto", address) => address.split_once('@').map_or("", |(_, host)| host),
        (scheme, _) => return Some(format!("{url}: `{scheme}:` is no scheme that pages use")),
    };
    let name = host.split(':').next().unwrap_or_default();
    let right = name.contains('.')
        && name.split('.').all(|label| !label.is_empty())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    (!right).then(|| format!("{url} names no host"))
}

/// A repository's pages.
struct Pages {
    root: PathBuf,
    pages: BTreeMap<PathBuf, Page>,
}

impl Pages {
    /// README.md and every page in the folders of sources, without the folders of builds and runs.
    fn of(root: &Path) -> Self {
        let mut pages = BTreeMap::new();
        let mut open: Vec<PathBuf> = FOLDERS.iter().map(|f| root.join(f)).filter(|p| p.is_dir()).collect();
        let mut files = vec![root.join("README.md")];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && !["target", "runs"].contains(&name.as_str()) {
                    open.push(path);
                } else if name.ends_with(".md") {
                    files.push(path);
                }
            }
        }
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            pages.insert(file.strip_prefix(root).unwrap().to_path_buf(), Page::read(&text));
        }
        Self { root: root.into(), pages }
    }

    /// Everything that does not exist, as `page:line: what`.
    fn faults(&self) -> Vec<String> {
        let mut out = vec![];
        for (name, page) in &self.pages {
            let mut tell = |line: usize, what: String| out.push(format!("{}:{line}: {what}", name.display()));
            page.faults.iter().for_each(|(line, what)| tell(*line, what.clone()));
            for (line, url) in &page.links {
                if let Some(what) = self.link(name, url) {
                    tell(*line, what);
                }
            }
            for (line, path) in &page.paths {
                if let Some(what) = self.path(path) {
                    tell(*line, what);
                }
            }
        }
        out
    }

    fn link(&self, page: &Path, url: &str) -> Option<String> {
        let (path, anchor) = url.split_once('#').map_or((url, None), |(path, anchor)| (path, Some(anchor)));
        if path.contains(':') {
            return malformed(url);
        }
        if path.starts_with('/') {
            return Some(format!("{url} begins with a slash: write it relative to the page"));
        }
        let path = path.replace("%20", " ");
        let to = if path.is_empty() { Some(page.into()) } else { normal(&page.parent()?.join(&path)) };
        let Some(to) = to else { return Some(format!("{url} leaves the repository")) };
        let file = self.root.join(&to);
        if !file.exists() {
            return Some(format!("{url}: there is no {}", to.display()));
        }
        let anchor = anchor?;
        let found = match self.pages.get(&to) {
            Some(page) => page.anchors.contains(anchor),
            // Lines of a source: `#L10` or `#L10-L20`.
            None => {
                let lines = fs::read_to_string(&file).map_or(0, |text| text.lines().count());
                let number = |part: &str| part.strip_prefix('L').and_then(|n| n.parse::<usize>().ok());
                anchor.split('-').all(|part| number(part).is_some_and(|n| (1..=lines).contains(&n)))
            }
        };
        (!found).then(|| format!("{url}: {} has no #{anchor}", to.display()))
    }

    /// What is wrong with a path. If it contains a pattern or a placeholder, the folders before that must exist.
    fn path(&self, word: &str) -> Option<String> {
        let word = word.split([':', '#']).next()?;
        let known: PathBuf = Path::new(word)
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '{', '<', '…', '$']))
            .collect();
        (!self.root.join(&known).exists()).then(|| format!("`{word}`: there is no {}", known.display()))
    }
}

#[test]
fn every_link_and_path_of_every_page_leads_somewhere() {
    let pages = Pages::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap());
    assert!(pages.pages.contains_key(Path::new("README.md")) && pages.pages.len() > 10, "{:?}", pages.pages.keys());
    let links: usize = pages.pages.values().map(|p| p.links.len()).sum();
    let paths: usize = pages.pages.values().map(|p| p.paths.len()).sum();
    assert!(links > 50 && paths > 50, "{links} links and {paths} paths");
    let faults = pages.faults();
    assert!(faults.is_empty(), "{} lead nowhere:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_leads_nowhere_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("framework/core/src/lib.rs", "one\ntwo\n");
    write("framework/figure one.svg", "<svg/>");
    write("framework/target/old.md", "[a page that a build left](nowhere.md)");
    write(
        "framework/guide/other.md",
        "# A heading: with `code`, *marks* & more\n\n## Twice\n\n## Twice\n\n<a id=\"own\"></a>\n\nSetext_one\n---\n\n# Größe\n",
    );
    let right = "[up](../../README.md) [code](other.md#a-heading-with-code-marks--more) [one](other.md#twice)
[two](other.md#twice-1) [own](other.md#own) [setext](other.md#setext_one) [size](other.md#größe) [here](#right)
[line](../core/src/lib.rs#L2) [folder](../core) ![figure](../figure%20one.svg) <img src=\"../figure%20one.svg\">
[web](https://example.org/a?b#c) <https://example.org> [mail](mailto:ada@example.org) [by name][page] [page][] [page]
[text that is no link] `[a][b]` `framework/core/src/lib.rs:2` `framework/*/src/lib.rs` `framework/{core,x}` `target/x`

[page]: other.md

```sh
friction run framework/core/src/lib.rs, --out runs/x   # and not framework/…
```

# Right
";
    write("framework/guide/right.md", right);
    write("README.md", "[guide](framework/guide/right.md)");
    assert_eq!(Pages::of(dir.path()).faults(), Vec::<String>::new());

    let wrong = [
        ("[a](nowhere.md)", "nowhere.md: there is no framework/guide/nowhere.md"),
        ("![a](nowhere.svg)", "nowhere.svg: there is no framework/guide/nowhere.svg"),
        ("<img src=\"nowhere.png\">", "nowhere.png: there is no framework/guide/nowhere.png"),
        ("[a](other.md#twice-2)", "other.md#twice-2: framework/guide/other.md has no #twice-2"),
        ("[a](#nowhere)", "#nowhere: framework/guide/wrong.md has no #nowhere"),
        ("[a](../core/src/lib.rs#L3)", "../core/src/lib.rs#L3: framework/core/src/lib.rs has no #L3"),
        ("[a][nothing]", "the reference [nothing] is defined nowhere"),
        ("[nothing][]", "the reference [nothing] is defined nowhere"),
        ("[a][page]\n\n[page]: gone.md", "gone.md: there is no framework/guide/gone.md"),
        ("[a](../../../x.md)", "../../../x.md leaves the repository"),
        ("[a](/README.md)", "/README.md begins with a slash: write it relative to the page"),
        ("[a](https:/example.org)", "https:/example.org names no host"),
        ("[a](https://example..org)", "https://example..org names no host"),
        ("[a](friction_core::Site)", "friction_core::Site: `friction_core:` is no scheme that pages use"),
        ("`framework/core/lib.rs`", "`framework/core/lib.rs`: there is no framework/core/lib.rs"),
        ("`framework/cores/*.rs`", "`framework/cores/*.rs`: there is no framework/cores"),
        ("```sh\ncat \"framework/gone.rs\"\n```", "`framework/gone.rs`: there is no framework/gone.rs"),
    ];
    for (text, what) in wrong {
        write(
            "framework/guide/wrong.md",
            &format!("One.\n\nAnd {}{text}\n", if text.starts_with("```") { "\n" } else { "" }),
        );
        let line = if text.starts_with("```") { 5 } else { 3 };
        assert_eq!(Pages::of(dir.path()).faults(), [format!("framework/guide/wrong.md:{line}: {what}")], "{text}");
    }
}

/// Sources of the framework and of plugins as one text, with string literals as the program prints them.
fn sources(root: &Path) -> String {
    let mut out = String::new();
    let mut open = vec![root.join("framework"), root.join("plugins")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !["target", "tests"].iter().any(|name| path.ends_with(name)) {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push_str(&fs::read_to_string(&path).unwrap().replace("\\\"", "\""));
            }
        }
    }
    // A literal goes on behind a backslash at the end of its line.
    let mut parts = out.split("\\\n");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |all, part| all + part.trim_start())
}

/// Messages of a page: the code in the first cell of tables whose first column is of messages.
fn messages(text: &str) -> Vec<(usize, String)> {
    let (mut out, mut cell, mut of_messages, mut header) = (vec![], 0, false, false);
    for (event, span) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::TableHead) => (cell, header, of_messages) = (0, true, false),
            Event::End(TagEnd::TableHead) => header = false,
            Event::Start(Tag::TableRow) => cell = 0,
            Event::Start(Tag::TableCell) => cell += 1,
            Event::Text(word) if header && cell == 1 => of_messages |= word.starts_with("message"),
            Event::Code(code) if cell == 1 && of_messages => {
                out.push((1 + text[..span.start].matches('\n').count(), code.to_string()));
            }
            _ => {}
        }
    }
    out
}

#[test]
fn messages_in_the_page_of_troubles_are_the_programs_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let text = fs::read_to_string(root.join("framework/guide/troubleshooting.md")).unwrap();
    let (all, sources) = (messages(&text), sources(&root));
    assert!(all.len() > 30, "{} messages", all.len());
    let mut gone = vec![];
    for (line, message) in &all {
        // Between what differs stand the words of the code.
        let parts: Vec<&str> = message.split('…').map(|p| p.trim_matches([' ', '`'])).filter(|p| p.len() > 3).collect();
        assert!(parts.iter().any(|p| p.len() > 12), "line {line}: too little to search for: {message}");
        gone.extend(parts.into_iter().filter(|p| !sources.contains(p)).map(|p| format!("line {line}: {p}")));
    }
    assert!(gone.is_empty(), "the code no longer says:\n{}", gone.join("\n"));
    let made = "| message | why |\n|---|---|\n| ``a `b` … c`` | `no` |\n\n| symptom | `x` |\n|---|---|\n| `y` | |\n";
    assert_eq!(messages(made), [(3, "a `b` … c".to_string())]);
}
