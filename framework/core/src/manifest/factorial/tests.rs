#![allow(clippy::unwrap_used)]
use super::*;

const FACTORS: &str = r#"
[[factor]]
name = "completion"
levels.complete = {}
levels.interrupt = { keep = { tokens = 50, marker = "..." } }

[[factor]]
name = "tone"
levels.polite = { user = ["Sorry, {question}", "Please, {question}"] }
levels.blunt = { user = "nvm. {question}" }
"#;
const DESIGN: &str = "\n[design]\nplugin = \"template\"\n";

fn source(text: &str, set: &[&str]) -> Source {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Source::parse("m.toml", text, &set).unwrap()
}

fn expanded(text: &str, set: &[&str]) -> (Source, Factorial) {
    let (mut source, mut issues) = (source(text, set), Issues::default());
    let made = expand(&mut source, &mut issues);
    assert_eq!(issues, Issues::default());
    (source, made.unwrap())
}

/// What is wrong, each fault with its place.
fn told(text: &str) -> String {
    let (mut source, mut issues) = (source(text, &[]), Issues::default());
    assert!(expand(&mut source, &mut issues).is_none() && !issues.is_empty(), "{text}");
    source.locate(issues).to_string()
}

fn names(source: &Source) -> Vec<&str> {
    source.value["condition"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

/// Line and column of a text in another.
fn place(text: &str, what: &str) -> String {
    let before = &text[..text.find(what).unwrap()];
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    format!("m.toml:{}:{column}", before.matches('\n').count() + 1)
}

#[test]
fn factors_make_the_conditions_that_one_would_list() {
    let by_hand = "\n[[condition]]\nname = \"extra\"\nplugin = \"template\"\nfactors = { completion = \"none\", tone = \"polite\" }\n";
    let (source, made) = expanded(&format!("{by_hand}{FACTORS}{DESIGN}"), &[]);
    let want = r#"
[[condition]]
name = "complete_polite"
plugin = "template"
user = ["Sorry, {question}", "Please, {question}"]
factors = { completion = "complete", tone = "polite" }
[[condition]]
name = "complete_blunt"
plugin = "template"
user = "nvm. {question}"
factors = { completion = "complete", tone = "blunt" }
[[condition]]
name = "interrupt_polite"
plugin = "template"
keep = { tokens = 50, marker = "..." }
user = ["Sorry, {question}", "Please, {question}"]
factors = { completion = "interrupt", tone = "polite" }
[[condition]]
name = "interrupt_blunt"
plugin = "template"
keep = { tokens = 50, marker = "..." }
user = "nvm. {question}"
factors = { completion = "interrupt", tone = "blunt" }
"#;
    assert_eq!(source.value, toml::from_str::<Table>(&format!("{want}{by_hand}")).unwrap());
    assert_eq!(made.levels["tone"], ["polite", "blunt"]);
    assert!(made.notes.is_empty());
}

#[test]
fn what_all_share_may_be_replaced_and_names_follow_a_pattern() {
    let design = "\n[design]\nplugin = \"template\"\nname = \"{tone}-{completion}\"\nuser = \"{question}\"\nkeep = { marker = \"-\" }\nfactors = { control = \"no\" }\n";
    let bare = FACTORS.replace("levels.blunt = { user = \"nvm. {question}\" }", "levels.blunt = {}");
    let (source, _) = expanded(&format!("{bare}{design}"), &["factor.0.levels.interrupt.keep.tokens=3"]);
    assert_eq!(names(&source), ["polite-complete", "blunt-complete", "polite-interrupt", "blunt-interrupt"]);
    let of = |i: usize, key: &str| source.value["condition"][i][key].to_string();
    assert_eq!((of(1, "user").as_str(), of(1, "keep").as_str()), ("\"{question}\"", "{ marker = \"-\" }"));
    assert!(
        of(0, "user").contains("Sorry") && of(3, "keep") == "{ marker = \"...\", tokens = 3 }",
        "{}",
        of(3, "keep")
    );
    assert_eq!(of(0, "factors"), "{ control = \"no\", completion = \"complete\", tone = \"polite\" }");
}

#[test]
fn faults_of_a_condition_are_told_at_the_levels_that_made_it() {
    let by_hand = "[[condition]]\nname = \"extra\"\nuser = 5\n";
    let text = format!("{by_hand}{FACTORS}{DESIGN}");
    let (source, _) = expanded(&text, &["factor.1.levels.blunt.user=8"]);
    let mut issues = Issues::default();
    let condition = Path::default().key("condition");
    // The same in both conditions that are cut; conditions 0 to 3 are made of factors, 4 is listed.
    for i in [2, 3] {
        issues.push(condition.index(i).below("keep.tokens"), "too many", None);
    }
    issues.push(condition.index(4).key("user"), "no text", None);
    issues.push(condition.index(1).key("user"), "a number", None);
    issues.push(condition.index(0).key("plugin"), "not there", None);
    issues.push(condition.index(0).below("factors.tone"), "one level", None);
    issues.push(condition.index(0).key("opening"), "missing", None);
    let error = source.locate(issues).to_string();
    let mut lines: Vec<&str> = error.lines().collect();
    lines.sort_unstable();
    let at = |what: &str, message: &str| format!("{}: {message}", place(&text, what));
    let mut want = [
        at("tokens = 50", "too many"),
        at("user = 5", "no text"),
        "--set factor.1.levels.blunt.user=8: a number".into(),
        at("plugin = \"template\"", "not there"),
        at("polite = {", "one level"),
        at("polite = {", "missing"),
    ];
    want.sort_unstable();
    assert_eq!(lines, want);
}

#[test]
fn levels_called_by_numbers_are_set_on_the_command_line() {
    let text =
        "[[factor]]\nname = \"size\"\nlevels.1 = {}\nlevels.2 = { user = \"b\" }\n[design]\nplugin = \"template\"\n";
    let (source, _) = expanded(text, &["factor.0.levels.1.user=a"]);
    assert_eq!(source.value["condition"][0]["user"].as_str(), Some("a"));
    let mut issues = Issues::default();
    issues.push(Path::default().below("condition.0.user"), "wrong", None);
    assert_eq!(source.locate(issues).to_string(), "--set factor.0.levels.1.user=a: wrong");
}

#[test]
fn fractions_and_lists_leave_combinations_out() {
    let third = "\n[[factor]]\nname = \"size\"\nlevels.small = {}\nlevels.large = { prefill = \"x\" }\n";
    let design = |more: &str| format!("{FACTORS}{third}{DESIGN}{more}");
    let (source, made) = expanded(&design("fraction = \"I = completion × tone × size\"\n"), &[]);
    // The product of the three is +1: an even number of first levels.
    let half = ["complete_polite_large", "complete_blunt_small", "interrupt_polite_small", "interrupt_blunt_large"];
    assert_eq!(names(&source), half);
    assert!(made.notes[1].contains(": completion = tone × size; tone = completion × size; "), "{:?}", made.notes);
    let (source, _) = expanded(&design("except = [{ completion = \"complete\", size = \"large\" }]\n"), &[]);
    assert_eq!(names(&source).len(), 6);
    assert!(!names(&source).contains(&"complete_blunt_large"));
    let only = "only = [{ tone = \"blunt\", size = \"small\" }, { completion = \"interrupt\" }]\n";
    let (source, _) = expanded(&design(only), &[]);
    let kept = [
        "complete_blunt_small",
        "interrupt_polite_small",
        "interrupt_polite_large",
        "interrupt_blunt_small",
        "interrupt_blunt_large",
    ];
    assert_eq!(names(&source), kept);
}

#[test]
fn what_is_no_design_is_refused_where_it_stands() {
    let all = format!("{FACTORS}{DESIGN}");
    let with = |more: &str| format!("{all}{more}\n");
    let but = |from: &str, to: &str| {
        assert!(all.contains(from), "{from}");
        all.replacen(from, to, 1)
    };
    for (text, at, says) in [
        ("[design]\nplugin = \"template\"\n".to_string(), "design]", "there is no `[[factor]]`"),
        ("factor = 5\n".into(), "factor", "`factor` must be a list of tables (write `[[factor]]`)"),
        (FACTORS.into(), "factor]]", "name no plugin (add `[design]`"),
        (
            but("name = \"tone\"", "name = \"completion\""),
            "name = \"completion\"\nlevels.polite",
            "two factors are called",
        ),
        (but("name = \"tone\"", "name = \"turn\""), "name = \"turn\"", "is no name of a factor"),
        (but("levels.complete = {}\n", ""), "levels.interrupt", "needs two levels; it has 1"),
        (but("levels.complete = {}", "levels.complete = 5"), "complete = 5", "a level is a table of options"),
        (but("levels.complete = {}", "levels.\"a b\" = {}"), "\"a b\"", "letters, digits, `-` and `_`"),
        (
            but("levels.complete = {}", "levels.complete = { name = \"x\" }"),
            "name = \"x\"",
            "a level cannot give `name`",
        ),
        (
            but("levels.complete = {}", "level.complete = {}"),
            "level.complete",
            "unknown key `level` (did you mean `levels`?)",
        ),
        (
            but("levels.polite = { user", "levels.polite = { keep = { tokens = 9 }, user"),
            "tokens = 9",
            "the levels `interrupt` of `completion` and `polite` of `tone` both set `keep.tokens`, and differ",
        ),
        (
            with("fraction = \"I = completion × tonne\""),
            "fraction",
            "speaks of `tonne`, which is no factor (did you mean `tone`?)",
        ),
        (with("except = [{ tonne = \"x\" }]"), "tonne", "`tonne` is no factor (did you mean `tone`?)"),
        (with("except = [{ tone = \"bluntt\" }]"), "tone = \"bluntt", "has no level `bluntt` (did you mean `blunt`?)"),
        (with("except = [{ tone = \"blunt\" }]"), "blunt = {", "no combination is left with `tone = blunt`"),
        (
            with("fraction = \"I = completion × tone\"\nexcept = [{ tone = \"blunt\", completion = \"complete\" }]"),
            "{ tone = \"blunt\", c",
            "no combination that is left has these levels",
        ),
        (with("name = \"{tone}\""), "name = \"{tone}\"", "do not tell the levels of `completion` apart"),
        (
            with("name = \"{tone}_{completoin}\""),
            "name = \"{tone}_",
            "`{completoin}` is no factor (did you mean `completion`?)",
        ),
        (with("fraction = 5"), "fraction", "none of the forms"),
        (with("same_as = \"x\""), "same_as", "names one condition"),
    ] {
        let told = told(&text);
        let at = place(&text, at);
        assert!(
            told.lines().any(|l| l.starts_with(&format!("{at}: ")) && l.contains(says)),
            "{at}: {says}\n---\n{told}"
        );
    }
    let many: String =
        (0..14).map(|i| format!("[[factor]]\nname = \"f{i}\"\nlevels.a = {{}}\nlevels.b = {{}}\n")).collect();
    assert!(told(&many).contains("more than 10000 combinations"));
}
