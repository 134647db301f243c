//! Choices that speak of other choices, such as "all of the above" or "both A and C". In another order they would say
//! something else.
use crate::Item;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What the choices of an item say of each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// Indices of the choices that speak of the others as a whole: "all of the above", "none of these", "neither". Such a
    /// choice stays at its place; the others may move.
    pub whole: Vec<usize>,
    /// Indices of the choices that speak of single ones, by letter, number or place: "both A and C", "same as option 2".
    /// No choice of the item may move.
    pub single: Vec<usize>,
    /// Whether the item says that the order of its choices carries meaning ([`Item::fixed_choices`]). None of them may move.
    pub fixed: bool,
}

impl Naming {
    /// Whether any choice speaks of another.
    pub fn any(&self) -> bool {
        !self.whole.is_empty() || !self.single.is_empty()
    }
    /// Indices of the choices that may move, of `n`, in order.
    pub fn free(&self, n: usize) -> Vec<usize> {
        let moves = |i: &usize| !self.fixed && self.single.is_empty() && !self.whole.contains(i);
        (0..n).filter(moves).collect()
    }
}

/// A name of one choice: a letter, with or without parentheses.
const LETTER: &str = r"\(?[a-z]\)?";
/// Roman numerals to ten.
const ROMAN: &str = r"\(?(?:i{1,3}|iv|vi{0,3}|ix|x)\)?";
/// What joins names in a list.
const JOINS: &str = r"(?:\s*(?:,|;|/|&|\+|\band/or\b|\band\b|\bor\b|\bnor\b|\bbut not\b|\bplus\b)\s*)+";
/// What may follow a list of names.
const ENDS: &str = r"(?:,? or both)?(?: (?:only|alone|both|together|are .{0,30}|is .{0,30}))?";
/// Words for a choice.
const CHOICE: &str = "(?:options?|choices?|answers?|alternatives?)";

#[allow(clippy::unwrap_used)] // The patterns are constant; the tests compile them.
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?i){text}")).unwrap()
}

/// "All of the above", "none of these", "neither", "no option is correct".
static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
    let amount = "all|none|any|both|neither|either|each|some|most|not all|not any|one|two|three|more than one|at least one|one or more|two or more|a combination|combinations?";
    let others = format!(
        "above|below|preceding|previous|foregoing|aforementioned|following|these|those|them|others?|responses?|possibilities|{CHOICE}"
    );
    let more = "given|listed|mentioned|described|stated|shown|provided|statements?|reasons?|factors?|reactions?|causes?|conditions?";
    let verb = "(?:is|are|was|were|apply|applies|can|could|may|will|would|do|does|have|has)(?: .{0,40})?";
    let behind = r"(?:\s*[,;:(—–-].*)?";
    pattern(&format!(
        "^(?:it is |they are |the answer is )?(?:(?:{amount})(?: of)?(?: the)?(?: two| three)?(?: (?:{others}))(?: (?:{others}|{more}))*(?: {verb})?{behind}|(?:all|none|both|neither|either)(?: {verb})?|(?:there is )?no (?:correct |right |other )?{CHOICE}(?: (?:given|listed|above|is .{{0,20}}|are .{{0,20}}))*)$"
    ))
});
/// "A and C", "both a and b", "(A), (B) and (D) only".
static LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    let opens = "(?:(?:both|neither|either|only|all of|options?|choices?|answers?) )*";
    pattern(&format!("^{opens}{LETTER}(?:{JOINS}(?:{CHOICE} )?{LETTER})+{ENDS}$"))
});
/// "I and III", "II only".
static ROMANS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!("^(?:(?:both|neither|either|only) )?{ROMAN}(?:(?:{JOINS}{ROMAN})+{ENDS}| (?:only|alone))$"))
});
/// "All of the above except B".
static EXCEPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        "^(?:all|none|any|everything)(?: of (?:the above|these|those|them|the others))?,? (?:but|except|except for|other than|besides) (?:{CHOICE} )?{LETTER}$"
    ))
});
/// "Option B", "choice (c)", "answers 1 and 2".
#[allow(clippy::unwrap_used)] // As above; letters without parentheses must be capitals: "answer a question".
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?i:options?|choices?|alternatives?|answers?) ["']?(?:([A-Z])\b|\(([A-Za-z])\)|\(?(\d{1,2})\b\)?)"#)
        .unwrap()
});
/// "The first two options", "same as the previous".
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    let place = "first|second|third|fourth|fifth|last|previous|preceding|next";
    pattern(&format!(
        r"\b(?:{place}) (?:two |three |four )?{CHOICE}\b|^(?:the )?same as (?:the )?(?:above|below|{place})\b"
    ))
});
/// Most words of a choice that speaks of others by place. A longer one has a subject of its own.
const WORDS: usize = 8;

/// Finds the choices that speak of others. Labels that the item's own text carries ("I. …, II. …", "person A … person B")
/// name things of the question, and the choices that list them may move.
///
/// ```
/// use friction_core::{Item, choice::naming};
/// let of = |choices: &[&str]| Item { choices: choices.iter().map(|c| c.to_string()).collect(), ..Item::default() };
/// assert_eq!(naming(&of(&["red", "blue", "none of the above"])).free(3), [0, 1]);
/// assert_eq!(naming(&of(&["red", "blue", "A and B"])).free(3), [0; 0]);
/// ```
pub fn naming(item: &Item) -> Naming {
    let n = item.choices.len();
    let words: BTreeSet<String> =
        item.text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    let mut out = Naming { fixed: item.fixed_choices, ..Naming::default() };
    for (i, choice) in item.choices.iter().enumerate() {
        let text = plain(choice);
        if single(&text, n, item, &words) {
            out.single.push(i);
        } else if WHOLE.is_match(&text) {
            out.whole.push(i);
        }
    }
    out
}

/// A choice with single spaces and straight quotes, without punctuation at its ends.
fn plain(choice: &str) -> String {
    let text: String = choice.chars().map(|c| if matches!(c, '“' | '”' | '"') { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '*' | '\'') || c.is_whitespace()).to_string()
}

/// Whether a choice speaks of single other ones.
fn single(text: &str, n: usize, item: &Item, words: &BTreeSet<String>) -> bool {
    let own = |labels: &[String]| labels.iter().all(|l| words.contains(l));
    let tokens = || text.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_lowercase);
    let letter = |l: &str| l.chars().next().map(|c| (c.to_ascii_lowercase() as usize).wrapping_sub('a' as usize));
    let known = |l: &String| letter(l).is_some_and(|i| i < n);
    if LETTERS.is_match(text) {
        let labels: Vec<String> = tokens().filter(|t| t.len() == 1 && t.as_bytes()[0].is_ascii_alphabetic()).collect();
        let different = labels.iter().collect::<BTreeSet<_>>().len() > 1;
        return different && labels.iter().all(known) && !own(&labels);
    }
    if EXCEPT.is_match(text) {
        return tokens().next_back().as_ref().is_some_and(known);
    }
    if ROMANS.is_match(text) {
        let labels: Vec<String> = tokens().filter(|t| roman(t).is_some()).collect();
        return labels.iter().all(|l| roman(l).is_some_and(|v| v <= n)) && !own(&labels);
    }
    let named = NAMED.captures_iter(text).any(|c| {
        let by_letter = c.get(1).or(c.get(2)).and_then(|l| letter(l.as_str())).is_some_and(|i| i < n);
        let by_number = c.get(3).and_then(|d| d.as_str().parse::<usize>().ok()).is_some_and(|d| (1..=n).contains(&d));
        // "Option A: …" in the question names something there.
        (by_letter || by_number) && !item.text.to_lowercase().contains(&c[0].to_lowercase())
    });
    named || PLACE.is_match(text) && text.split(' ').count() <= WORDS
}

/// The value of a Roman numeral to ten.
fn roman(text: &str) -> Option<usize> {
    ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"].iter().position(|r| *r == text).map(|i| i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, choices: &[&str]) -> Naming {
        naming(&Item { text: text.into(), choices: choices.iter().map(|c| c.to_string()).collect(), ..Item::default() })
    }
    /// What one choice among five is.
    fn kind(choice: &str) -> &'static str {
        kind_in("What is it?", choice)
    }
    fn kind_in(text: &str, choice: &str) -> &'static str {
        let found = of(text, &["red", "green", "blue", "yellow", choice]);
        match (&found.whole[..], &found.single[..]) {
            ([4], []) => "whole",
            ([], [4]) => "single",
            ([], []) => "free",
            _ => "several",
        }
    }

    #[test]
    fn choices_that_speak_of_the_others_as_a_whole() {
        for choice in [
            "All of the above",
            "all of the above.",
            "all the above",
            "None of the above.",
            "none of these",
            "Both of these",
            "Neither of the above",
            "None of them",
            "None of the other options",
            "none of the answers given",
            "All of the above are correct",
            "All of these are possible causes",
            "More than one of the above",
            "Two or more of the above",
            "Any of the above",
            "None of the above, because it rains",
            "both",
            "Neither",
            "All are correct",
            "Both are true",
            "No correct answer",
            "There is no correct option",
            "“None of the above”",
            "A combination of the above",
            "All of the above statements",
        ] {
            assert_eq!(kind(choice), "whole", "{choice}");
        }
    }

    #[test]
    fn choices_that_speak_of_single_others() {
        for choice in [
            "A and B",
            "both a and b",
            "Both A and C",
            "A, B, and C",
            "(A) and (B) only",
            "Neither B nor C",
            "a & c",
            "A or B or both",
            "B and D are correct",
            "A and B but not C",
            "options A and C",
            "Both option A and option C",
            "Answer B is correct, and so is this",
            "The same as choice (c)",
            "Options 1 and 2",
            "all of the above except B",
            "All but C",
            "None of the above except for option A",
            "I and III",
            "II only",
            "I, II and IV",
            "The first two options",
            "Same as above",
        ] {
            assert_eq!(kind(choice), "single", "{choice}");
        }
    }

    #[test]
    fn choices_with_a_subject_of_their_own_may_move() {
        for choice in [
            "All of these theories are merely speculation at this point",
            "None of the statements must be true",
            "Both statements are partially true",
            "just above a layer of shale",
            "if price falls below average total cost",
            "All Native Americans, both ancient and modern",
            "both sensory and motor neuronal processes",
            "None of the children are adopted",
            "Either-or fallacy",
            "a and z",
            "A and A",
            "1 and 3",
            "X",
            "IV",
            "Share options, Senior managers, Share Price",
            "an answer to the mind-body problem",
            "presenting two options as the only possible ones when more options exist",
            "I Ching",
            "Both parties are excused from performance",
            "Cannot be determined from the information given",
            "x = 2",
            "Nothing",
            "neither its quantity nor its quality",
        ] {
            assert_eq!(kind(choice), "free", "{choice}");
        }
    }

    #[test]
    fn labels_of_the_question_are_no_choices() {
        let statements = "Which are true?\nI. Water is wet.\nII. Fire is cold.\nIII. Stones are hard.";
        for choice in ["I and III only", "II only", "I, II and III"] {
            assert_eq!((kind_in(statements, choice), kind(choice)), ("free", "single"), "{choice}");
        }
        assert_eq!(kind_in(statements, "None of the above"), "whole");
        assert_eq!(kind_in("Person A meets person B. Who is late?", "A and B"), "free");
        // The article is no label: B is not in the text.
        assert_eq!(kind_in("A man meets a woman.", "A and B"), "single");
        assert_eq!(kind_in("Option A costs 2, option B costs 3.", "option B"), "free");
    }

    #[test]
    fn what_is_free_follows_from_what_is_named() {
        let found = of("?", &["none of these", "x", "all of the above", "y"]);
        assert_eq!((found.whole.clone(), found.free(4)), (vec![0, 2], vec![1, 3]));
        let fixed = of("?", &["x", "y", "A and B", "none of these"]);
        assert!(fixed.any() && fixed.free(4).is_empty());
        assert_eq!(of("?", &["x", "y"]).free(2), [0, 1]);
        assert!(!of("?", &[]).any());
        let choices = ["x", "y"].map(String::from).to_vec();
        let placed = naming(&Item { choices, fixed_choices: true, ..Item::default() });
        assert!(!placed.any() && placed.free(2).is_empty());
    }
}
