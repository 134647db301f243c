//! Multiple choice: how a question is written, and how a letter is read out of a reply.
//!
//! Three readings stand side by side. *Declared* is the primary one: an answer that the reply
//! declares as such. *Lenient* falls back to the first stand-alone letter. *Official* is MMLU-Pro's own
//! chain of patterns (TIGER-AI-Lab/MMLU-Pro, `evaluate_from_local.py`), which ends in the last
//! stand-alone letter and therefore misreads replies that walk through the options.
use crate::{Category, Dataset, Grade, Question, Result};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Questions by category: the dataset that file readers fill.
pub struct Bank {
    /// The subjects, in order of name.
    pub categories: Vec<Category>,
    /// The questions of each.
    pub questions: BTreeMap<String, Vec<Question>>,
    fingerprint: String,
}

impl Bank {
    /// A bank of `questions`; `fingerprint` identifies the data they came from.
    pub fn new(questions: BTreeMap<String, Vec<Question>>, fingerprint: String) -> Self {
        let categories = questions.iter().map(|(n, q)| Category { name: n.clone(), questions: q.len() }).collect();
        Self { categories, questions, fingerprint }
    }
}

impl Dataset for Bank {
    fn categories(&self) -> &[Category] {
        &self.categories
    }
    fn questions(&self, c: &Category) -> &[Question] {
        self.questions.get(&c.name).map_or(&[], Vec::as_slice)
    }
    fn prompt(&self, q: &Question) -> Result<String> {
        Ok(prompt(q))
    }
    fn grade(&self, q: &Question, reply: &str) -> Result<Grade> {
        Ok(grade(q, reply))
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// Question, blank line, lettered options, blank line, the instruction with the real letters.
pub fn prompt(q: &Question) -> String {
    let mut out = format!("{}\n\n", q.text);
    for (i, option) in q.options.iter().enumerate() {
        out.push_str(&format!("{}. {option}\n", Question::letter(i)));
    }
    let last = Question::letter(q.options.len().saturating_sub(1));
    out.push_str(&format!("\nPlease provide your answer as a single letter (A-{last})."));
    out
}

/// All readings of a reply.
pub fn grade(q: &Question, reply: &str) -> Grade {
    let n = q.options.len();
    let parsed = declared(reply, n);
    let others = [("declared", parsed), ("lenient", lenient(reply, n)), ("official", official(reply, n))];
    Grade {
        parsed,
        correct: parsed == Some(q.answer_letter()),
        others: others.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
    }
}

#[allow(clippy::unwrap_used)] // The patterns are constants; the tests compile them all.
fn pattern(p: &str) -> Regex {
    Regex::new(p).unwrap()
}

/// An opening bracket, bold mark or LaTeX wrapper, then a letter.
const LETTER: &str = r"[\s*_`$]*(?:\\(?:boxed|text|textbf|mathrm)\{\s*)*[(\[*_`$]*\s*([A-Z])";

static DECLARATIONS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    vec![
        pattern(&format!(
            r"(?:[Aa]nswer|ANSWER|[Oo]ption|[Cc]hoice)\s*(?:[*_`]*\s*)?(?:is|would be|should be|must be)\b\s*:?\s*(?:[Oo]ption\b|[Cc]hoice\b)?{LETTER}"
        )),
        pattern(&format!(r"(?:[Aa]nswer|ANSWER)[*_`]*\s*[:：]{LETTER}")),
        pattern(r"\\boxed\{\s*(?:\\(?:text|textbf|mathrm)\{)?\s*\(?([A-Z])"),
        pattern(r"(?m)^[ \t]*\*\*\s*\(?([A-Z])"),
    ]
});
static LEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\s*_`(\[$]*([A-Z])"));
static OFFICIAL: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [pattern(r"answer is \(?([A-J])\)?"), pattern(r"(?-s).*[aA]nswer:\s*([A-J])"), pattern(r"\b([A-J])\b")]
});
static ALONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b([A-Z])\b"));

fn valid(letter: &str, options: usize) -> Option<char> {
    letter.chars().next().filter(|c| ((*c as u8).wrapping_sub(b'A') as usize) < options)
}

/// Whether what follows a letter lets it be a declared answer: not a word, not a formula.
fn ends(rest: &str, strict: bool) -> bool {
    let mut chars = rest.chars();
    let next = chars.next();
    if next.is_some_and(|c| c.is_alphanumeric() || c == '\'' || c == '’') {
        return false;
    }
    let after = rest.trim_start_matches([' ', '\t']).chars().next();
    if matches!(after, Some('=' | '+')) {
        return false;
    }
    // At the start of a reply "A" and "I" are words too: a mark or a line's end must follow.
    !strict
        || matches!(
            next,
            None | Some('.' | ')' | ']' | ':' | ',' | ';' | '*' | '_' | '`' | '$' | '}' | '\n' | '\r' | '<')
        )
        || (next == Some(' ') && after.is_none())
}

/// The first declared answer: a leading letter, "answer is X", "Answer: X", `\boxed{X}` or a bold
/// line; case-sensitive; only letters of real options.
pub fn declared(reply: &str, options: usize) -> Option<char> {
    let mut best: Option<(usize, char)> = None;
    let mut offer = |at: usize, c: char| {
        if best.is_none_or(|(b, _)| at < b) {
            best = Some((at, c));
        }
    };
    if let Some(m) = LEADING.captures(reply).and_then(|c| c.get(1))
        && let Some(c) = valid(m.as_str(), options)
        && ends(&reply[m.end()..], true)
    {
        offer(m.start(), c);
    }
    for p in DECLARATIONS.iter() {
        for m in p.captures_iter(reply).filter_map(|c| c.get(1)) {
            if let Some(c) = valid(m.as_str(), options)
                && ends(&reply[m.end()..], p.as_str().starts_with("(?m)"))
            {
                offer(m.start(), c);
                break;
            }
        }
    }
    best.map(|(_, c)| c)
}

/// The declared answer, else the first stand-alone capital of a real option other than the words
/// "A" and "I" in running text.
pub fn lenient(reply: &str, options: usize) -> Option<char> {
    declared(reply, options).or_else(|| {
        ALONE.captures_iter(reply).filter_map(|c| c.get(1)).find_map(|m| {
            let c = valid(m.as_str(), options)?;
            ends(&reply[m.end()..], matches!(c, 'A' | 'I')).then_some(c)
        })
    })
}

/// MMLU-Pro's own reading; where it would guess, nothing.
pub fn official(reply: &str, options: usize) -> Option<char> {
    let _ = options;
    let first = |r: &Regex| r.captures(reply).and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next());
    first(&OFFICIAL[0]).or_else(|| first(&OFFICIAL[1])).or_else(|| {
        OFFICIAL[2].captures_iter(reply).last().and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_answers() {
        let cases = [
            ("B", Some('B')),
            ("C.", Some('C')),
            ("(D) because", Some('D')),
            ("**E**", Some('E')),
            ("**F. Mitochondria**\n\nA. is wrong", Some('F')),
            ("The answer is (G).", Some('G')),
            ("Answer: H", Some('H')),
            ("**Answer:** C", Some('C')),
            ("The correct answer is **D**.", Some('D')),
            ("so \\boxed{I}", Some('I')),
            ("$\\boxed{\\text{J}}$", Some('J')),
            ("Let's think.\n**B. Oxygen**\nbut later the answer is C", Some('B')),
            ("A common approach is to integrate.", None),
            ("I think so", None),
            ("A = 3", None),
            ("A + B", None),
            ("the answer is a matter of taste", None),
            ("The answer is Newton", None),
            ("", None),
            ("The answer is C = 5", None),
        ];
        for (reply, want) in cases {
            assert_eq!(declared(reply, 10), want, "{reply:?}");
        }
        assert_eq!(declared("The answer is (J)", 4), None, "J is no option of four");
    }

    #[test]
    fn the_other_readings() {
        assert_eq!(official("B is right. A is wrong, and so is D", 10), Some('D'));
        assert_eq!(official("the answer is (C), not D", 10), Some('C'));
        assert_eq!(lenient("Probably B, I guess", 10), Some('B'));
        assert_eq!(lenient("A thing", 10), None);
    }

    #[test]
    fn prompts_name_the_real_letters() {
        let q = Question {
            id: "x_0".into(),
            category: "x".into(),
            text: "Q?".into(),
            options: vec!["a".into(), "b".into()],
            answer: 1,
        };
        assert_eq!(prompt(&q), "Q?\n\nA. a\nB. b\n\nPlease provide your answer as a single letter (A-B).");
        assert!(grade(&q, "B").correct);
    }
}
