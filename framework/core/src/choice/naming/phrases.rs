//! The wordings by which a choice speaks of other ones.
use regex::Regex;
use std::sync::LazyLock;

/// A name of one choice: a letter, with or without parentheses.
const LETTER: &str = r"\(?[a-z]\)?";
/// Roman numerals to ten.
const ROMAN: &str = r"\(?(?:i{1,3}|iv|vi{0,3}|ix|x)\)?";
/// What joins names in a list.
const JOINS: &str = r"(?:\s*(?:,|;|/|&|\+|\band/or\b|\band\b|\bor\b|\bnor\b|\bbut not\b|\bplus\b|\bas well as\b)\s*)+";
/// What may follow a list of names.
const ENDS: &str = r"(?:,? or both)?(?: (?:only|alone|both|together|above|below|are .{0,30}|is .{0,30}|depending .{0,60})|\s*[,;(—–].{1,60})?";
/// Words for a choice.
const CHOICE: &str = "(?:options?|choices?|answers?|alternatives?)";

#[allow(clippy::unwrap_used)] // The patterns are constant; the tests compile them.
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?i){text}")).unwrap()
}

/// "All of the above", "none of these", "neither", "no option is correct".
pub(super) static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
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
pub(super) static LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    let opens = "(?:(?:both|neither|either|only|not|all of|none of|any of|options?|choices?|answers?) )*";
    pattern(&format!("^{opens}({LETTER}(?:{JOINS}(?:{CHOICE} )?{LETTER})+){ENDS}$"))
});
/// "I and III", "II only".
pub(super) static ROMANS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        "^(?:(?:both|neither|either|only) )?({ROMAN}(?:{JOINS}{ROMAN})+){ENDS}$|^({ROMAN}) (?:only|alone)$"
    ))
});
/// "All of the above except B".
pub(super) static EXCEPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        "^(?:all|none|any|everything)(?: of (?:the above|these|those|them|the others))?,? (?:but|except|except for|other than|besides) (?:{CHOICE} )?{LETTER}$"
    ))
});
/// "Option B", "choice (c)", "answers 1 and 2".
#[allow(clippy::unwrap_used)] // As above; letters without parentheses must be capitals: "answer a question".
pub(super) static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?i:options?|choices?|alternatives?|answers?) ["']?(?:([A-Z])\b|\(([A-Za-z])\)|\(?(\d{1,2})\b\)?)"#)
        .unwrap()
});
/// "1 and 2 only", "both (1) and (3)". Numbers without such a word may be the answer itself.
pub(super) static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
    let list = format!(r"(\(?\d{{1,2}}\)?(?:{JOINS}\(?\d{{1,2}}\)?)+)");
    let says = "(?:only|alone|both|together|above|below|are .{0,30})";
    pattern(&format!("^(?:both|neither|either|only) {list}{ENDS}$|^{list}(?:,? or both)? {says}$"))
});
/// "A only", "only (b)", "not A", "same as B". Outside parentheses small letters are no names behind "not" and "same as": "not
/// a chance".
#[allow(clippy::unwrap_used)] // As above.
pub(super) static LONE: LazyLock<Regex> = LazyLock::new(|| {
    let like = "(?:the )?(?:same as|identical to|equivalent to|opposite of)";
    Regex::new(&format!(
        r"^(?:(?i:only|just|solely) (\(?[A-Za-z]\)?)|(\(?[A-Za-z]\)?) (?i:only|alone)|(?i:not) ([A-Z]|\([A-Za-z]\))|(?i:{like}) ([A-Z]|\([A-Za-z]\))(?:[ ,;].{{0,60}})?)$"
    ))
    .unwrap()
});
/// "A-C", "A to C", "all of (A) through (C)".
#[allow(clippy::unwrap_used)] // As above.
pub(super) static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?i:(?:both|all of|all|any of|none of|only) )*\(?([A-Z])\)?(?:\s*[-–—]\s*|\s+(?i:to|through|thru)\s+)\(?([A-Z])\)?(?: (?i:only|inclusive|above|are .{0,30}))?$",
    )
    .unwrap()
});
/// "The first two options", "same as the previous", "the above", "the last one".
pub(super) static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    let place = "first|second|third|fourth|fifth|last|previous|preceding|next";
    let amount = "(?:only|both|all|either|neither|none|any)(?: of)?";
    let behind = "only|alone|above|listed|of (?:these|them|the above)|are .{0,30}";
    pattern(&format!(
        r"\b(?:{place}) (?:two |three |four )?{CHOICE}\b|^(?:the )?same as (?:the )?(?:above|below|{place})\b|^(?:the )?(?:above|foregoing|preceding)$|^(?:{amount} )?(?:the )?(?:{place}) (?:ones?|two|three|four)(?: (?:{behind}))?$"
    ))
});
/// Most words of a choice that speaks of others by place. A longer one has a subject of its own.
pub(super) const WORDS: usize = 8;

/// A letter A of a question that is a label and no article: "person A", "(a)", "A is", "a > b".
#[allow(clippy::unwrap_used)] // As above.
pub(super) static SINGLE_A: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\([Aa]\)|\b[Aa]\)|[\p{L},;)][ \t]+A\b|\bA(?:\s*[=<>+*^,;:.|·⊃≡∨∧∩∪→?]|\s*$|\s+(?:is|was|has|had|and|or|are|will|can|does|did|must)\b)|\ba\s*[=<>+*^,;:|]|\ba (?:and|or) [b-j]\b",
    )
    .unwrap()
});
/// What has single letters and no labels: "e.g.", "I'd", "°C".
pub(super) static ABBREVIATION: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\be\.\s?g\b|\bi\.\s?e\b|['’](?:d|s|m|t|ll|re|ve)\b|°\s?[cf]\b"));
