//! `friction grade --replies`: shows which letter each parser reads in given replies, without a study.
use crate::error::{CliError, Result};
use friction_core::choice::{lenient, official, reading};
use friction_core::plural;
use serde_json::{Value, json};
use std::path::Path;

/// One line of the file.
#[derive(Debug, PartialEq)]
struct Reply {
    line: usize,
    text: String,
    /// The options' texts, one for each option; an empty text where it is unknown.
    choices: Vec<String>,
}

pub(super) fn run(path: &Path, choices: Option<usize>, as_json: bool) -> Result<()> {
    if let Some(n) = choices.filter(|n| !(1..=26).contains(n)) {
        return Err(CliError::usage(format!("--choices {n}: options have letters from A to Z; give 1 to 26")));
    }
    let bytes = std::fs::read(path)
        .map_err(|e| CliError::usage(format!("{}: {e}; name a file of JSON lines", path.display())))?;
    let replies = parse(path, &bytes, choices)?;
    if replies.is_empty() {
        let what = "holds no replies; a line is {\"reply\": \"The answer is B.\"}";
        return Err(CliError::usage(format!("{}: {what}", path.display())));
    }
    if as_json {
        for r in &replies {
            let declared = reading(&r.text, &r.choices).declared;
            let lenient = lenient(&r.text, &r.choices);
            outln!("{}", json!({"declared": declared, "lenient": lenient, "official": official(&r.text)}));
        }
    } else {
        table(&replies);
    }
    Ok(())
}

/// Parses the JSON lines of a file of replies. A byte order mark, CRLF and empty lines are accepted.
fn parse(path: &Path, bytes: &[u8], choices: Option<usize>) -> Result<Vec<Reply>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut out = vec![];
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let bad = |what: &str| CliError::usage(format!("{}: line {}: {what}", path.display(), i + 1));
        let line = std::str::from_utf8(line).map_err(|e| bad(&format!("not UTF-8 ({e}); save the file as UTF-8")))?;
        if line.trim().is_empty() {
            continue;
        }
        let shape = "a line is {\"reply\": \"…\", \"choices\": [\"…\", \"…\"]}";
        let row: Value = serde_json::from_str(line).map_err(|e| bad(&format!("not JSON: {e}; {shape}")))?;
        if !row.is_object() {
            return Err(bad(&format!("not a JSON object; {shape}")));
        }
        let text = match row.get("reply") {
            Some(Value::String(s)) => s.clone(),
            Some(_) => return Err(bad("`reply` must be text")),
            None => return Err(bad(&format!("there is no `reply`; {shape}"))),
        };
        let choices = match row.get("choices") {
            None | Some(Value::Null) => {
                let n = choices.ok_or_else(|| {
                    bad("there are no `choices`; write them, or say how many options there were with --choices N")
                })?;
                vec![String::new(); n]
            }
            Some(Value::Array(all)) if (1..=26).contains(&all.len()) => all
                .iter()
                .map(|c| c.as_str().map(String::from).ok_or_else(|| bad("`choices` must be a list of texts")))
                .collect::<Result<_>>()?,
            Some(Value::Array(all)) => return Err(bad(&format!("{} `choices`; there must be 1 to 26", all.len()))),
            Some(_) => return Err(bad("`choices` must be a list of texts")),
        };
        out.push(Reply { line: i + 1, text, choices });
    }
    Ok(out)
}

fn table(replies: &[Reply]) {
    let shown = |c: Option<char>| c.unwrap_or('-');
    let (mut found, mut agree, mut torn) = ([0usize; 3], [0usize; 3], 0usize);
    outln!("{:>6}  declared  lenient  official  contradicts  reply", "line");
    for r in replies {
        let read = reading(&r.text, &r.choices);
        let all = [read.declared, lenient(&r.text, &r.choices), official(&r.text)];
        for (k, letter) in all.iter().enumerate() {
            found[k] += usize::from(letter.is_some());
            agree[k] += usize::from(*letter == read.declared);
        }
        torn += usize::from(read.contradicts.is_some());
        outln!(
            "{:>6}  {:<8}  {:<7}  {:<8}  {:<11}  {}",
            r.line,
            shown(all[0]),
            shown(all[1]),
            shown(all[2]),
            shown(read.contradicts),
            beginning(&r.text)
        );
    }
    outln!("\n{}", plural(replies.len(), "reply"));
    for (k, name) in ["declared", "lenient", "official"].iter().enumerate() {
        let beside = if k == 0 { String::new() } else { format!(", the same as `declared` in {}", agree[k]) };
        outln!("  {name:<9} reads a letter in {}{beside}", found[k]);
    }
    outln!("  {torn} declare another letter beside the one that counts, or several at once");
}

/// The beginning of a reply on one line, with control characters escaped.
fn beginning(text: &str) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == 48 {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push('⏎'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], n: Option<usize>) -> Result<Vec<Reply>> {
        parse(Path::new("r.jsonl"), bytes, n)
    }

    #[test]
    fn lines_are_read_with_marks_and_crlf() {
        let file = b"\xef\xbb\xbf{\"reply\": \"B\", \"kind\": \"x\"}\r\n\r\n{\"reply\": \"C\", \"choices\": [\"x\", \"y\"]}\r\n";
        let got = read(file, Some(4)).unwrap();
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].line, got[0].choices.len()), (1, 4));
        assert_eq!((got[1].line, got[1].choices.join(" ")), (3, "x y".to_string()));
    }

    #[test]
    fn errors_name_the_line_and_the_remedy() {
        for (file, n, why) in [
            (&b"{\"reply\": \"B\"}\nB\n"[..], Some(4), "line 2: not JSON"),
            (b"{\"reply\": \"B\"}\n{\"answer\": \"B\"}\n", Some(4), "line 2: there is no `reply`; a line is"),
            (b"{\"reply\": 3}\n", Some(4), "line 1: `reply` must be text"),
            (b"[1]\n", Some(4), "line 1: not a JSON object"),
            (b"{\"reply\": \"B\"}\n", None, "line 1: there are no `choices`; write them, or say how many"),
            (b"{\"reply\": \"B\", \"choices\": []}\n", None, "line 1: 0 `choices`; there must be 1 to 26"),
            (b"{\"reply\": \"B\", \"choices\": [1]}\n", None, "line 1: `choices` must be a list of texts"),
            (b"{\"reply\": \"\xff\"}\n", Some(4), "line 1: not UTF-8"),
        ] {
            let Err(CliError::Usage(told)) = read(file, n) else { panic!("{why}: read") };
            assert!(told.contains(why), "{told}");
        }
    }
}
