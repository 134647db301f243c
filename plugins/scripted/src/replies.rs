//! What the model can say: each reply as transitions from one token to the logits of the next.
//!
//! A token occurs at most once in a reply, so that the token before and the reply's name tell which comes next.
use std::collections::BTreeSet;

/// The token that ends a reply.
pub const END: &str = "<end_of_turn>";
/// Logit of the token that comes next.
pub const NEXT: f32 = 12.0;
/// Logit of a letter where another letter comes next.
const OTHER_LETTER: f32 = 9.0;
/// How much lower the logits of the bare letters are at a reply's first token, where a word comes next.
const AHEAD: f32 = 6.0;

/// Tokens and their logits; all other words of replies have the logit 0.
pub type Logits = Vec<(String, f32)>;

/// A reply: what comes first, and what comes after each of its tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The name in `[say …]` and `[default …]`.
    pub name: String,
    /// The greedy reply.
    pub text: String,
    /// Logits of the first token.
    pub first: Logits,
    /// Tokens, and the logits of the token after each.
    pub after: Vec<(String, Logits)>,
}

fn one(token: &str) -> Logits {
    vec![(token.into(), NEXT)]
}

fn letters() -> impl Iterator<Item = char> {
    'A'..='J'
}

impl Reply {
    /// A reply of these tokens, each certain.
    fn said(name: &str, tokens: &[&str]) -> Self {
        let next = tokens.iter().skip(1).copied().chain([END]);
        let after = tokens.iter().zip(next).map(|(token, next)| (token.to_string(), one(next))).collect();
        let first = one(tokens.first().copied().unwrap_or(END));
        Self { name: name.into(), text: tokens.concat(), first, after }
    }

    /// Replaces the logits after `token`; the other tokens that may come there go on as the greedy one does.
    fn or(mut self, token: &str, logits: Logits) -> Self {
        let chosen = logits.first().map(|(t, _)| t.clone()).unwrap_or_default();
        let onward = self.after.iter().find(|(t, _)| *t == chosen).map(|(_, l)| l.clone()).unwrap_or_default();
        for (other, _) in logits.iter().skip(1) {
            if !self.after.iter().any(|(t, _)| t == other) {
                self.after.push((other.clone(), onward.clone()));
            }
        }
        match self.after.iter_mut().find(|(t, _)| t == token) {
            Some((_, old)) => *old = logits,
            None => self.after.push((token.into(), logits)),
        }
        self
    }

    /// [`Self::or`] for the first token.
    fn or_first(self, logits: Logits) -> Self {
        let mut out = self.or("", logits.clone());
        out.after.retain(|(t, _)| !t.is_empty());
        out.first = logits;
        out
    }
}

/// The letter `is` with the logit `NEXT` and then the others, each behind `space`, all lower by `by`.
fn class(is: char, space: &str, by: f32) -> Logits {
    let others = letters().filter(|c| *c != is).map(|c| (format!("{space}{c}"), OTHER_LETTER - by));
    [(format!("{space}{is}"), NEXT - by)].into_iter().chain(others).collect()
}

/// `The answer is A.`, and `A)` behind a `(`.
fn letter(is: char) -> Reply {
    let (bare, spaced) = (is.to_string(), format!(" {is}"));
    let mut out = Reply::said(&bare, &["The", " answer", " is", &spaced, "."]).or(" is", class(is, " ", 0.0));
    out.first.extend(class(is, "", AHEAD));
    // Any of the letters at the first token, or behind a bracket, is closed by a bracket.
    out.after.push((bare.clone(), one(")")));
    out.after.push((")".into(), one(END)));
    out.or("(", class(is, "", 0.0)).or(" (", class(is, "", 0.0))
}

fn digit(is: i32) -> Reply {
    let logit = |other: i32| NEXT - (other - is).abs() as f32;
    let own = (is.to_string(), NEXT);
    let others = (1..=9).filter(|e| *e != is).map(|e| (e.to_string(), logit(e)));
    Reply::said(&own.0, &[&own.0]).or_first([own.clone()].into_iter().chain(others).collect())
}

/// Two replies that differ in one word, whose logits differ by 2.
fn pair(name: &str, [word, other]: [&str; 2], before: Option<&str>) -> Reply {
    let logits = vec![(word.to_string(), NEXT), (other.to_string(), NEXT - 2.0)];
    match before {
        Some(before) => Reply::said(name, &[before, word, "."]).or(before, logits),
        None => Reply::said(name, &[word, "."]).or_first(logits),
    }
}

/// Text that does harm where it is shown unescaped.
pub const HOSTILE: &str = "\u{1b}[31mred\u{1b}[0m <script>alert(1)</script> {{ 7 * 7 }}";

const COUNT: [&str; 13] =
    ["one", " two", " three", " four", " five", " six", " seven", " eight", " nine", " ten", " eleven", " twelve", "."];

/// All replies, `ok` first.
pub fn all() -> Vec<Reply> {
    let mut out = vec![Reply::said("ok", &["ok"])];
    out.extend(letters().map(letter));
    out.extend(('A'..='D').map(|c| {
        let tokens = [" So", " the", " answer", " is", " (", &c.to_string(), ").", "\n\n", "Question", ":"];
        Reply::said(&format!("cot-{c}"), &tokens)
    }));
    out.extend((1..=9).map(digit));
    out.extend(["12", "42"].map(|n| Reply::said(n, &[n])));
    out.push(pair("yes", ["Yes", "No"], None));
    out.push(pair("no", ["No", "Yes"], None));
    out.push(pair("cooperate", [" cooperate", " defect"], Some("I")));
    out.push(pair("defect", [" defect", " cooperate"], Some("I")));
    out.push(Reply::said("refuse", &["I", " cannot", " help", " with", " that", "."]));
    out.push(Reply::said("comply", &["Sure", ",", " here", " it", " is", "."]));
    out.push(Reply::said("hedge", &["I", " think", " it", " might", " be", " B", "."]));
    let guess = [(" A", 0.0), (" B", 0.5), (" C", 1.0), (" D", 2.0)].map(|(t, by)| (t.to_string(), NEXT - by));
    out.push(Reply::said("guess", &["The", " answer", " is", " A", "."]).or(" is", guess.into()));
    out.push(Reply::said("count", &COUNT));
    let mut forever = Reply::said("forever", &["la", " la"]);
    forever.after = ["la", " la"].map(|t| (t.to_string(), one(" la"))).into();
    out.push(forever);
    out.push(Reply::said("nothing", &[]));
    let think = ["<think>", "Let", " us", " see", "</think>", "The", " answer", " is", " B", "."];
    out.push(Reply::said("think", &think));
    let bytes: Vec<String> = "🦀".bytes().map(|b| format!("<0x{b:02X}>")).collect();
    let mut crab = Reply::said("crab", &bytes.iter().map(String::as_str).collect::<Vec<_>>());
    crab.text = "🦀".into();
    out.push(crab);
    out.push(Reply::said("hostile", &[HOSTILE]));
    out
}

/// All tokens that replies are made of, [`END`] included.
pub fn tokens(all: &[Reply]) -> BTreeSet<String> {
    let after = all.iter().flat_map(|r| r.after.iter().map(|(t, _)| t));
    let next = all.iter().flat_map(|r| r.after.iter().map(|(_, l)| l).chain([&r.first])).flatten().map(|(t, _)| t);
    after.chain(next).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_the_reply_tell_what_comes_next() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for reply in &all {
            let states: BTreeSet<&str> = reply.after.iter().map(|(t, _)| t.as_str()).collect();
            assert_eq!(states.len(), reply.after.len(), "{}: a token occurs twice", reply.name);
            for logits in reply.after.iter().map(|(_, l)| l).chain([&reply.first]) {
                let most = logits.iter().filter(|(_, l)| *l == NEXT).count();
                assert_eq!(most, 1, "{}: {logits:?}", reply.name);
                assert!(logits.iter().all(|(_, l)| *l <= NEXT && *l > 0.0));
                // Whatever is sampled has a way on.
                for (token, _) in logits {
                    assert!(token == END || states.contains(token.as_str()), "{}: {token}", reply.name);
                }
            }
        }
    }
}
