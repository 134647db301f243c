//! Reading letters out of replies.
#![allow(clippy::unwrap_used)]
use friction_core::choice::{declared, grade, lenient, official, prompt, reading};
use friction_core::{Item, Target};
use proptest::prelude::*;
use serde_json::Value;
use std::time::{Duration, Instant};

fn ten() -> Vec<String> {
    "Carbon Neon Iron Gold Water Oxygen Helium Silver Copper Zinc".split(' ').map(String::from).collect()
}

/// Reads every line of a file of cases: those that read otherwise, and how many there are.
fn misread(lines: &str) -> (Vec<String>, usize) {
    let mut wrong = vec![];
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let options = case.get("choices").map_or_else(ten, |c| serde_json::from_value(c.clone()).unwrap());
        let want = case["answer"].as_str().and_then(|a| a.chars().next());
        let got = reading(case["reply"].as_str().unwrap(), &options);
        if got.declared != want {
            wrong.push(format!("{:?} of {options:?}: {want:?} wanted, {got:?} read", case["reply"]));
        }
    }
    (wrong, lines.lines().count())
}

/// Replies made for this purpose, in the forms that models are known to write, and near misses of them.
#[test]
fn made_replies_read_as_a_person_would() {
    let (wrong, all) = misread(include_str!("replies.jsonl"));
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(all > 1000);
}

#[test]
fn the_collected_cases() {
    let Some(dir) = std::env::var_os("FRICTION_CASES") else {
        eprintln!("SKIPPED: set FRICTION_CASES to the folder that holds replies.jsonl");
        return;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&dir).join("replies.jsonl")).unwrap();
    let (wrong, all) = misread(&text);
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(all >= 100);
}

#[test]
fn contradictions_are_told() {
    let read = |reply: &str| {
        let r = reading(reply, &ten());
        (r.declared, r.contradicts)
    };
    // The last explicit declaration counts, and a bold line before it stays visible.
    assert_eq!(read("Let's think.\n**B. Neon**\nbut later the answer is C"), (Some('C'), Some('B')));
    assert_eq!(read("The answer is A. Wait. The answer is B."), (Some('B'), Some('A')));
    assert_eq!(read("Answer: A and B"), (None, Some('A')));
    assert_eq!(read("Answer: B. Carbon"), (None, Some('B')));
    assert_eq!(read("B. Neon\n\nThe answer is B. B is correct."), (Some('B'), None));
    assert_eq!(read("**B. Neon**\n\n* **A. Carbon:** no.\n* **B. Neon:** yes."), (Some('B'), None));
    assert_eq!(read("A is correct. B is also correct."), (None, Some('A')));
    assert_eq!(read("The answer is C. If x were negative, it would be D."), (Some('C'), None));
    assert_eq!(read("I don't know"), (None, None));
    // A list of the options is no answer, nor several.
    assert_eq!(read("A\nB\nC"), (None, None));
    assert_eq!(read("A) Carbon B) Neon C) Iron"), (None, None));
    assert_eq!(read("The answer seems to be B, but it is A."), (Some('A'), Some('B')));
}

#[test]
fn earlier_readings_hold() {
    let cases = [
        ("C.", Some('C')),
        ("(D) because", Some('D')),
        ("**E**", Some('E')),
        ("**F. Mitochondria**\n\nA. is wrong", Some('F')),
        ("The answer is (G).", Some('G')),
        ("**Answer:** C", Some('C')),
        ("so \\boxed{I}", Some('I')),
        ("$\\boxed{\\text{J}}$", Some('J')),
        ("A common approach is to integrate.", None),
        ("I think so", None),
        ("the answer is a matter of taste", None),
        ("The answer is Newton", None),
        ("The answer is C = 5", None),
    ];
    for (reply, want) in cases {
        assert_eq!(declared(reply, &ten()), want, "{reply:?}");
    }
    assert_eq!(declared("The answer is (J)", &ten()[..4]), None, "J is no option of four");
}

#[test]
fn the_other_readings() {
    assert_eq!(official("B is right. A is wrong, and so is D"), Some('D'));
    assert_eq!(official("the answer is (C), not D"), Some('C'));
    assert_eq!(official("nothing"), None);
    assert_eq!(lenient("Perhaps it was B, who knows", &ten()), Some('B'));
    assert_eq!(lenient("A thing", &ten()), None);
    assert_eq!(lenient("Perhaps it was K", &ten()), None);
}

#[test]
fn prompts_name_the_real_letters() {
    let q = Item {
        id: "x_0".into(),
        category: "x".into(),
        text: "Q?".into(),
        choices: vec!["a".into(), "b".into()],
        target: Some(Target::Choice(1)),
        ..Item::default()
    };
    assert_eq!(prompt(&q), "Q?\n\nA. a\nB. b\n\nPlease provide your answer as a single letter (A-B).");
    let grade = grade(&q, "A\n\nThe answer is B.");
    assert_eq!((grade.score, grade.answer.as_deref()), (Some(1.0), Some("B")));
    assert_eq!(grade.others["contradicts"].as_deref(), Some("A"));
    assert_eq!(grade.others.keys().collect::<Vec<_>>(), ["contradicts", "declared", "lenient", "official"]);
}

/// What replies are made of, to be put together at random.
fn pieces() -> impl Strategy<Value = String> {
    let words = "A|B|C|I|K|a|b|answer|The answer is|Answer:|not|but|and|or|is|correct|option|so|it is|\\boxed{|\\text{|}|{|$|\\(|\\)|**|*|_|`|~~|<answer>|</answer>|<think>|</think>|<b>|<|>|&amp;|Question:|.|,|:|?|!|-|/|(|)|[|]|\"|'|\n|Neon|E. coli|答案|是|，|\u{200b}|\u{fe0f}|é|\u{301}|𝐁|1.|→|\r\n|no wait|if|would|most plausible|✅|❌|third option|also|~|TL;DR";
    let words: Vec<String> = words.split('|').map(String::from).collect();
    prop::collection::vec((prop::sample::select(words), any::<bool>()), 0..40)
        .prop_map(|all| all.into_iter().map(|(w, space)| if space { w + " " } else { w }).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
    #[test]
    fn any_text_is_read_within_the_options(
        reply in prop_oneof![any::<String>(), pieces()],
        mut options in prop::collection::vec(prop_oneof![any::<String>(), pieces()], 0..30),
        texts in any::<bool>(),
    ) {
        if !texts {
            options.iter_mut().for_each(String::clear);
        }
        let r = reading(&reply, &options);
        for c in r.declared.iter().chain(&r.contradicts) {
            prop_assert!(c.is_ascii_uppercase() && ((*c as u8 - b'A') as usize) < options.len().min(26));
        }
        prop_assert!(r.declared.is_none() || r.declared != r.contradicts);
        if let Some(c) = lenient(&reply, &options) {
            prop_assert!(((c as u8 - b'A') as usize) < options.len());
        }
    }

    /// An option's text, declared, reads as that option or as none, whatever letters stand in it.
    #[test]
    fn an_options_text_is_never_another_letter(options in prop::collection::vec(text(), 2..10)) {
        for (k, text) in options.iter().enumerate() {
            let own = Item::letter(k);
            // "B coli" where option B is "coli" is letter and text of B.
            let (first, rest) = text.split_once(' ').unwrap();
            let other = options.iter().enumerate().any(|(j, o)| first.trim_end_matches('.') == Item::letter(j).to_string() && rest.starts_with(o.as_str()));
            let twice = options.iter().enumerate().any(|(j, o)| j != k && o.to_lowercase() == text.to_lowercase());
            for form in ["The answer is {}.", "Answer: {}", "\\boxed{{}}", "**Answer: {}**"] {
                let got = declared(&form.replacen("{}", text, 1), &options);
                prop_assert!(other || got == Some(own) || twice && got.is_none(), "{form} of {text:?} in {options:?}: {got:?}");
            }
            for form in ["X. {}", "**X. {}**", "Answer: X. {}", "The answer is X) {}", "(X) {}"] {
                let reply = form.replacen('X', &own.to_string(), 1).replacen("{}", text, 1);
                prop_assert_eq!(declared(&reply, &options), Some(own), "{} in {:?}", reply, options);
            }
        }
    }
}

/// Texts of two to four words, among them letters, names and parts of formulas.
fn text() -> impl Strategy<Value = String> {
    let words = "A|B|C|E.|I|II|coli|cells|and|or|not|the|only|5|C-14|H2O|Neon|is|answer|correct|option|because|x";
    let words: Vec<&str> = words.split('|').collect();
    prop::collection::vec(prop::sample::select(words), 2..5).prop_map(|w| w.join(" "))
}

/// A megabyte takes less than a second on a machine that does nothing else, whatever it repeats.
#[test]
fn long_replies_are_read_in_linear_time() {
    let mut options = ten();
    options[2] = "the answer is not the answer is not ".repeat(8);
    options[4] = "a a a a ".repeat(60);
    let units = "a |answer |the answer is |answer: |the answer is not |B, |B. |A\n|A. x\n|\\boxed{|{|}|<|<think>|<think|~~|~~a~~|*|_|`|$|\\|(|((B) |B is |if the |so |answer option |I |I believe |答案|答案是B|Question: \n|Sure! |<b>|<B>|&|\u{200b}|é|B and |Answer\n|* A. |answer is likely |</think>|<think></think>|**B. Neon** |not B but |A, no, |A is correct and |A is correct. B is also |if B would be correct |\\boxed{A}\\boxed{B}|A. Carbon ✅\nB. Neon ❌\n|the answer, I believe, |~A~|third option |leaving us only |A? B? |A? no |it would be wrong to |A) Carbon B) Neon Answer C |1. A\n2. B\n|A, I mean B, |it seems, but it is ";
    let turns = format!("The answer is {}C", "not B but ".repeat(100_000));
    assert_eq!(declared(&turns, &options), None, "so many turns are followed by nobody");
    for unit in units.split('|') {
        let reply = unit.repeat(1_000_000 / unit.len() + 1);
        let began = Instant::now();
        let r = reading(&reply, &options);
        // Builds without optimisation, and machines that do other things, take longer; quadratic time is minutes.
        let limit = Duration::from_secs(if cfg!(debug_assertions) { 40 } else { 10 });
        assert!(began.elapsed() < limit, "{unit:?} took {:?}: {r:?}", began.elapsed());
    }
}
