#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::Maker;
use serde_json::json;
use std::sync::Arc;

/// A plugin of a library that tells what it likes.
fn foreign(name: &str, summary: &str, options: Value) -> Plugin {
    Plugin {
        name: name.into(),
        summary: summary.into(),
        version: "1.0.0".into(),
        origin: Origin::Library { path: "/somewhere/libit.so".into(), sha256: "0".into() },
        options,
        maker: Maker::Condition(Arc::new(|_, _, _| None)),
    }
}

fn registry(plugins: Vec<Plugin>) -> Registry {
    let mut out = Registry::default();
    plugins.into_iter().for_each(|p| out.add(p).unwrap());
    out
}

#[test]
fn texts_of_plugins_are_text() {
    for (text, want) in [
        ("keeps `keep.tokens` of them", "keeps `keep.tokens` of them"),
        (
            "<script>alert(1)</script> & [x](javascript:y)",
            "\\<script\\>alert(1)\\</script\\> \\& \\[x\\](javascript:y)",
        ),
        ("a `` b ` c `` d", "a `` b ` c `` d"),
        ("a ` b", "a \\` b"),
        ("``` not a block", "\\`\\`\\` not a block"),
        ("`a`` b` *c*", "`a`` b` \\*c\\*"),
        ("# no heading", "\\# no heading"),
        ("1. no list", "1\\. no list"),
        ("2 levels", "2 levels"),
        ("- no\n\n# list", "\\- no # list"),
        ("a\u{1b}[31mred\u{202e}", "a\u{fffd}\\[31mred\u{fffd}"),
    ] {
        assert_eq!(inline(text), want);
    }
    assert_eq!(code("a"), "`a`");
    assert_eq!(code("``a"), "``` ``a ```");
    assert_eq!(fence("a = '```'\n"), "````toml\na = '```'\n````\n");
    let doc = "One\nline.\n\nIt writes:\n- a `b`\n  and c;\n- d.\n\nMore # text.";
    assert_eq!(blocks(doc), "One line.\n\nIt writes:\n\n- a `b` and c;\n- d.\n\nMore # text.\n");
    assert_eq!(blocks(""), "");
}

#[test]
fn a_plugin_of_ones_own_has_a_page() {
    let options = json!({
        "type": "object",
        "description": "Cuts.\n\n</details><img src=x>",
        "properties": {
            "tokens": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many *tokens*."},
            "cut": {"$ref": "#/definitions/Cut", "default": "end"},
            "tree": {"$ref": "#/definitions/Tree", "description": "Holds itself."},
            "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5, "default": 0.25},
            "pairs": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}},
        },
        "required": ["tokens"],
        "definitions": {
            "Cut": {"description": "Where.", "oneOf": [
                {"const": "end", "description": "At the end."},
                {"const": "start", "description": "At the `start`|."},
            ]},
            "Tree": {"type": "array", "items": {"$ref": "#/definitions/Tree"}},
        },
    });
    let known = registry(vec![foreign("my-cut", "Cuts | replies", options)]);
    let pages = pages(&known, Path::new("/nowhere")).unwrap();
    assert_eq!(pages.keys().collect::<Vec<_>>(), ["manifest.md", "plugins/condition-my-cut.md"].map(Path::new));
    let page = &pages[Path::new("plugins/condition-my-cut.md")];
    for part in [
        "# `my-cut`\n\n[`[[condition]]`](../manifest.md#condition): Cuts \\| replies\n",
        "It comes with the library `libit.so`.\n\nCuts.\n\n\\</details\\>\\<img src=x\\>\n",
        "```toml\n[[condition]]\nname = \"mine\"\nplugin = \"my-cut\"\ntokens = 1\n",
        "### `tokens`\n\nWhole number from 1 to 9. Required.\n\nHow many \\*tokens\\*.\n",
        "### `cut`\n\n\"end\" or \"start\". Default: `\"end\"`.\n\nWhere.\n\n- `\"end\"`: At the end.\n- `\"start\"`: At the `start`\\|.\n",
        "### `share`\n\nNumber above 0 and at most 0.5. Default: `0.25`.\n",
        "### `pairs`\n\nList of tables. Optional.\n",
        "### `pairs.N.a`\n\nTrue or false. Required in `pairs.N`.\n",
    ] {
        assert!(page.contains(part), "{part}\n---\n{page}");
    }
    assert!(page.starts_with(MARK) && !page.contains("extend/"), "{page}");
    let manifest = &pages[Path::new("manifest.md")];
    assert!(manifest.contains("- [`my-cut`](plugins/condition-my-cut.md): Cuts \\| replies\n"), "{manifest}");
    assert!(manifest.contains("\n## `[dataset]`\n") && manifest.contains("none in this program"), "{manifest}");
}

#[test]
fn two_plugins_have_two_pages() {
    let two = |a: &str, b: &str| registry(vec![foreign(a, "s", json!({})), foreign(b, "s", json!({}))]);
    assert_eq!(pages(&two("a-b", "a_b"), Path::new("/nowhere")).unwrap().len(), 3);
    assert!(matches!(pages(&two("a b", "a_b"), Path::new("/nowhere")), Err(CliError::Usage(_))));
}
