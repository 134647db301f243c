#![allow(clippy::unwrap_used)]
use super::*;
use crate::manifest::{Issues, Manifest, Path};
use serde_json::Value;

fn section(text: &str) -> GradeSection {
    toml::from_str(text).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let mut issues = Issues::default();
    section(text).check(&Path::default().key("grade"), &mut issues);
    issues.0.iter().map(|i| format!("{}: {} {}", i.path, i.message, i.help.clone().unwrap_or_default())).collect()
}

fn grader(text: &str) -> Grader {
    assert_eq!(faults(text), [""; 0]);
    Grader::new(&section(text)).unwrap()
}

fn open(targets: &[&str]) -> Item {
    let target = (!targets.is_empty()).then(|| Target::Text(targets.iter().map(ToString::to_string).collect()));
    Item { id: "x".into(), target, ..Item::default() }
}

fn abc(right: Option<usize>) -> Item {
    let choices = ["red", "green", "blue"].map(String::from).to_vec();
    Item { id: "x".into(), choices, target: right.map(Target::Choice), ..Item::default() }
}

/// Scores of replies to an item: 1, 0, or `None`.
fn scores(grader: &Grader, item: &Item, replies: &[&str]) -> Vec<Option<f64>> {
    replies.iter().map(|r| grader.grade(item, r).score).collect()
}

/// What tests/data/grades.py computed: SQuAD's comparison, numbers by Python's decimal and fractions, and Python's re.
#[test]
fn grades_are_those_of_python() {
    let cases: Value = serde_json::from_str(include_str!("../../tests/data/grades.json")).unwrap();
    let mut n = 0;
    for case in cases.as_array().unwrap() {
        let grader = Grader::new(&serde_json::from_value(case["grade"].clone()).unwrap()).unwrap();
        let targets: Vec<&str> = case["targets"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let grade = grader.grade(&open(&targets), case["reply"].as_str().unwrap());
        assert_eq!(grade.score, case["score"].as_f64(), "{case}\n{grade:?}");
        if let Some(answer) = case.get("answer") {
            assert_eq!(grade.answer.as_deref(), answer.as_str(), "{case}\n{grade:?}");
        }
        for (name, value) in case["metrics"].as_object().into_iter().flatten() {
            let got = grade.metrics.get(name).copied();
            let near = got.zip(value.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-12 * b.abs().max(1.0));
            assert!(near, "{name}: {case}\n{grade:?}");
        }
        n += 1;
    }
    assert!(n > 300, "{n}");
}

#[test]
fn exact_compares_whole_replies_or_what_follows_a_phrase() {
    let plain = grader("kind = \"exact\"");
    let paris = open(&["Paris", "City of Paris"]);
    assert_eq!(
        scores(&plain, &paris, &["paris.\n", " \"PARIS\"", "city of  paris", "It is Paris", ""]),
        [Some(1.0), Some(1.0), Some(1.0), Some(0.0), Some(0.0)]
    );
    let strict = grader("kind = \"exact\"\ncase = true\npunctuation = true\nwhite_space = true");
    assert_eq!(scores(&strict, &paris, &["Paris", "paris", "Paris.", " Paris"]), [1.0, 0.0, 0.0, 0.0].map(Some));
    let after = grader("kind = \"exact\"\nafter = [\"the answer is\", \"final answer:\"]");
    let said = [
        "I think the answer is Lyon. No, the answer is **Paris**.",
        "Final answer:\n\n  Paris",
        "the answer is: Paris. It lies on the Seine.",
        "THE  ANSWER\nIS not Lyon; Paris",
        "Paris",
    ];
    assert_eq!(scores(&after, &paris, &said), [1.0, 1.0, 1.0, 0.0, 0.0].map(Some));
    assert_eq!(after.grade(&paris, said[0]).answer.as_deref(), Some("Paris"));
    assert_eq!(after.grade(&paris, said[4]).answer, None);
    let saint = open(&["St. Petersburg"]);
    assert_eq!(after.grade(&saint, "the answer is St. Petersburg.").score, Some(1.0));
    // Of a choice the letter or the text.
    assert_eq!(scores(&plain, &abc(Some(1)), &["Green", "B", "b.", "A"]), [1.0, 1.0, 1.0, 0.0].map(Some));
    let letters = Item { choices: ["b", "a"].map(String::from).to_vec(), ..abc(Some(1)) };
    assert_eq!(scores(&plain, &letters, &["a", "b"]), [1.0, 0.0].map(Some));
    assert_eq!(plain.grade(&open(&[]), "x").score, None);
    assert_eq!(plain.grade(&open(&[]), "x").answer.as_deref(), Some("x"));
}

#[test]
fn numbers_are_declared_or_the_last() {
    let number = grader("kind = \"number\"");
    let item = open(&["1,234.50 dollars"]);
    let said = [
        "The answer is $1234.5, of which 3 are left.",
        "#### 1234.5",
        "So \\boxed{1{,}000} no: $\\boxed{1,234.50}$ of 7",
        "9 and then 1234.5",
        "1234.5 and then 9",
        "The answer is not 1234.5 but 9",
        "The answer is unknown.",
    ];
    assert_eq!(scores(&number, &item, &said), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0].map(Some));
    let first = grader("kind = \"number\"\ntake = \"first\"\nafter = []");
    assert_eq!(scores(&first, &item, &said[3..5]), [0.0, 1.0].map(Some));
    let declared = grader("kind = \"number\"\nundeclared = false");
    assert_eq!(declared.grade(&item, said[3]).answer, None);
    assert_eq!(declared.grade(&item, said[3]).others["last"].as_deref(), Some("1234.5"));
    let german = grader("kind = \"number\"\ndecimal = \",\"");
    assert_eq!(german.grade(&open(&["1.234,5"]), "Es sind 1.234,5 Euro").score, Some(1.0));
    let spaced = grader("kind = \"number\"\nthousands = \" \"");
    assert_eq!(spaced.grade(&open(&["1234567"]), "il y a 1\u{202f}234 567 habitants").score, Some(1.0));
    let close = grader("kind = \"number\"\ntolerance = 0.05\nrelative = 0.01");
    let replies = ["3.15", "3.16", "-3.1"];
    assert_eq!(scores(&close, &open(&["3.1"]), &replies), [1.0, 0.0, 0.0].map(Some));
    assert_eq!(close.grade(&open(&["1000"]), "1010").score, Some(1.0));
    assert!((close.grade(&open(&["3.1"]), "3.16").metrics["error"] - 0.06).abs() < 1e-12);
    // Digits beyond f64's precision count where no tolerance is asked for.
    let big = open(&["12345678901234567891"]);
    assert_eq!(scores(&number, &big, &["12345678901234567892", "12,345,678,901,234,567,891"]), [0.0, 1.0].map(Some));
    // Without a target the number is measured all the same.
    let free = number.grade(&open(&[]), "about 40 %");
    assert_eq!((free.score, free.answer.as_deref(), free.metrics["number"]), (None, Some("40"), 40.0));
}

#[test]
fn texts_are_found_as_words() {
    let art = open(&["art", "sculpture"]);
    let any = grader("kind = \"contains\"");
    assert_eq!(
        scores(&any, &art, &["It is Art.", "a party", "art_", "Sculpture and art", "artsy, but: art", ""]),
        [1.0, 0.0, 0.0, 1.0, 1.0, 0.0].map(Some)
    );
    assert_eq!(any.grade(&art, "sculpture!").answer.as_deref(), Some("sculpture"));
    assert_eq!(any.grade(&art, "sculpture!").metrics["found"], 0.5);
    let all = grader("kind = \"contains\"\nneed = \"all\"");
    assert_eq!(scores(&all, &art, &["art", "Art or sculpture"]), [0.0, 1.0].map(Some));
    let parts = grader("kind = \"contains\"\nwords = false\ncase = true");
    assert_eq!(scores(&parts, &art, &["a party", "ART"]), [1.0, 0.0].map(Some));
    let refusal = grader("kind = \"contains\"\ntexts = [\"I can't\", \"I cannot\"]");
    assert_eq!(scores(&refusal, &open(&[]), &["I can’t\nhelp.", "Of course"]), [1.0, 0.0].map(Some));
    assert_eq!(any.grade(&open(&["东京"]), "答案是东京。").score, Some(1.0));
    assert_eq!(any.grade(&open(&["C++"]), "in C++, say").score, Some(1.0));
    assert_eq!(scores(&any, &abc(Some(2)), &["deep blue", "C"]), [1.0, 0.0].map(Some));
    assert_eq!(any.grade(&open(&[]), "art").score, None);
}

#[test]
fn patterns_capture_an_answer_or_match() {
    let ans = grader("kind = \"regex\"\npattern = '(?i)colou?r:\\s*(\\w+)'");
    let blue = open(&["blue"]);
    assert_eq!(scores(&ans, &blue, &["Color: BLUE", "colour: red", "blue"]), [1.0, 0.0, 0.0].map(Some));
    let twice = "color: red, color: blue";
    assert_eq!(ans.grade(&blue, twice).answer.as_deref(), Some("red"));
    let last = grader("kind = \"regex\"\npattern = 'color: (?P<c>\\w+)'\ngroup = \"c\"\ntake = \"last\"\ncase = true");
    assert_eq!((last.grade(&blue, twice).score, last.grade(&blue, twice).metrics["matches"]), (Some(1.0), 2.0));
    assert_eq!(last.grade(&blue, "color: Blue").score, Some(0.0));
    let matches = grader("kind = \"regex\"\npattern = 'sorry|cannot'");
    assert_eq!(scores(&matches, &open(&[]), &["I am sorry", "fine"]), [1.0, 0.0].map(Some));
    let anyway = grader("kind = \"regex\"\npattern = 'sorry'\ncompare = false");
    assert_eq!(scores(&anyway, &blue, &["sorry", "blue"]), [1.0, 0.0].map(Some));
    assert_eq!(scores(&ans, &abc(Some(2)), &["color: blue", "color: c", "color: b"]), [1.0, 1.0, 0.0].map(Some));
}

#[test]
fn choices_are_read_by_the_parser_that_is_named() {
    let of = |parser: &str| grader(&format!("kind = \"choice\"\nparser = \"{parser}\""));
    let reply = "B. Green it is, although one might say the answer is (C). All of A are wrong";
    let said: Vec<_> = ["declared", "lenient", "official", "lm-eval", "original"]
        .iter()
        .map(|p| of(p).grade(&abc(Some(2)), reply))
        .map(|g| (g.answer, g.score))
        .collect();
    let c = || (Some("C".to_string()), Some(1.0));
    // The original's parser takes the letter at the beginning, since "answer is (C)" has a bracket before its letter.
    let b = || (Some("B".to_string()), Some(0.0));
    assert_eq!(said, [b(), b(), c(), c(), b()]);
    let grade = of("lm-eval").grade(&abc(None), "the answer is J");
    assert_eq!((grade.score, grade.answer.as_deref()), (None, Some("J")));
    let all: Vec<&str> = grade.others.keys().map(String::as_str).collect();
    assert_eq!(all, ["contradicts", "declared", "lenient", "lm-eval", "official", "original"]);
    assert_eq!(grader("kind = \"choice\"").grade(&open(&["B"]), "B"), Grade::default());
}

#[test]
fn what_can_never_be_scored_is_told() {
    let told = |text: &str, item: &Item| grader(text).fault(item).unwrap_or_default();
    assert_eq!(told("kind = \"choice\"", &open(&["B"])), "has no choices");
    assert_eq!(told("kind = \"choice\"", &abc(None)), "has no right choice");
    assert_eq!(told("kind = \"choice\"", &abc(Some(0))), "");
    assert_eq!(told("kind = \"exact\"", &open(&[])), "has no target");
    assert_eq!(told("kind = \"contains\"", &open(&[])), "has no target");
    assert_eq!(told("kind = \"contains\"\ntexts = [\"x\"]", &open(&[])), "");
    assert_eq!(told("kind = \"number\"", &open(&["many"])), "has no number in its target \"many\"");
    assert_eq!(told("kind = \"number\"", &open(&[])), "");
    assert_eq!(told("kind = \"regex\"\npattern = \"x\"", &open(&[])), "");
    assert_eq!(told("kind = \"regex\"\npattern = \"x\"\ncompare = true", &open(&[])), "has no target");
}

#[test]
fn tables_that_say_nothing_are_refused() {
    for (text, why) in [
        (
            "kind = \"exact\"\ntolerance = 1",
            "grade.tolerance: `tolerance` does nothing beside `kind = \"exact\"` it belongs to `number`",
        ),
        ("kind = \"number\"\ntolerance = -1", "grade.tolerance: `tolerance` must be a number from 0"),
        ("kind = \"number\"\nthousands = \".\"", "cannot separate thousands and be the decimal sign"),
        ("kind = \"number\"\ndecimal = \"1\"", "grade.decimal: `1` is no decimal sign"),
        ("kind = \"number\"\nundeclared = false\nafter = []", "finds none"),
        ("kind = \"number\"\nundeclared = false\ntake = \"first\"", "grade.take: `take` chooses among undeclared"),
        ("kind = \"number\"\nafter = [\" \"]", "grade.after.0: this text is empty"),
        ("kind = \"contains\"\ntexts = []", "nothing would be looked for"),
        ("kind = \"regex\"", "grade: `pattern` is missing"),
        ("kind = \"regex\"\npattern = \"(\"", "grade.pattern: no regular expression: unclosed group"),
        ("kind = \"regex\"\npattern = \"(?=x)\"", "look-around"),
        ("kind = \"regex\"\npattern = \"x\"\ngroup = 1", "grade.group: the pattern has 0 groups"),
        ("kind = \"regex\"\npattern = \"(?P<a>x)\"\ngroup = \"b\"", "the pattern has 1 group, and not this one"),
        (
            "kind = \"regex\"\npattern = \"x\"\ncompare = false\ncase = true",
            "grade.case: `case` does nothing at `compare = false`",
        ),
    ] {
        let told = faults(text);
        assert!(told.len() == 1 && told[0].contains(why), "{text}: {told:?}");
    }
    let manifest = |grade: &str| {
        let text = format!("{grade}\n[study]\nname = \"x\"\ngroups = 1\nturns = 1\n");
        Manifest::parse("m.toml", &text, &[]).map(|_| ()).unwrap_err().to_string()
    };
    let told = manifest("[grade]\nkind = \"exactly\"");
    assert!(told.contains("unknown value `exactly`") && told.contains("exact"), "{told}");
    let told = manifest("[grade]\nkind = \"exact\"\npatern = \"x\"");
    assert!(told.contains("unknown key `patern`") && told.contains("did you mean `pattern`?"), "{told}");
    let told = manifest("grade = 1");
    assert!(told.contains("`grade` must be a table"), "{told}");
    assert!(manifest("[grade]").contains("`kind` is missing"));
}

#[test]
fn grades_have_the_metrics_that_are_named() {
    for text in [
        "kind = \"choice\"",
        "kind = \"exact\"",
        "kind = \"number\"",
        "kind = \"contains\"",
        "kind = \"regex\"\npattern = \"[0-9]+\"",
    ] {
        let grader = grader(text);
        let mut had: Vec<String> = vec![];
        for item in [open(&["5"]), abc(Some(1))] {
            had.extend(grader.grade(&item, "The answer is 5.").metrics.into_keys());
        }
        assert!(grader.metrics().iter().all(|m| had.iter().any(|h| h == m)), "{text}: {had:?}");
        assert!(had.iter().all(|h| grader.metrics().contains(&h.as_str())), "{text}: {had:?}");
    }
}
