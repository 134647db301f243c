//! Settings that would do nothing are refused or warned about before the first token, and errors point at them.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, errors, friction, place, says, world};
use std::path::Path;
use std::process::Output;

/// Everything that was printed, unchanged.
fn raw(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned() + &String::from_utf8_lossy(&o.stderr)
}

/// Everything that was printed, without frames and line breaks.
fn plain(o: &Output) -> String {
    raw(o).replace(['│', '╰', '╭', '─', '▶'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn with(command: &str, dir: &Path, set: &[&str]) -> Output {
    let mut args = vec![command, "m.toml"];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    friction(dir, &args)
}

/// What `check` prints for a manifest that it refuses. `run` must refuse it too, without starting.
fn refused(manifest: &str, set: &[&str]) -> String {
    let w = world(manifest);
    let o = with("check", w.path(), set);
    assert_eq!(o.status.code(), Some(2), "{}", raw(&o));
    let run = with("run", w.path(), set);
    assert_eq!(run.status.code(), Some(2));
    // `run` says first what it is about to run, where the manifest can be read so far.
    assert!(plain(&run).ends_with(&plain(&o)), "{}", raw(&run));
    assert!(!w.path().join("runs").exists());
    plain(&o)
}

/// What `check` prints for a manifest that it accepts.
fn taken(manifest: &str, set: &[&str]) -> String {
    let w = world(manifest);
    let o = with("check", w.path(), set);
    assert_eq!(o.status.code(), Some(0), "{}", raw(&o));
    plain(&o)
}

const PLAIN: &str = "user = \"ok. {question}\"\n";
const IMPATIENT: &str =
    "user = [\"Faster. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }\n";
const BEHAVIOR: &str = "[[analyzer]]\nplugin = \"behavior\"\nprimary = \"volume × turn\"\n";

/// `MANIFEST` with one text replaced by another.
fn but(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "{from}");
    MANIFEST.replace(from, to)
}

/// `MANIFEST` with these analyzers instead of its own.
fn analyzers(tables: &str) -> String {
    but(BEHAVIOR, tables)
}

#[test]
fn a_treatment_that_is_never_given() {
    // In a study of one turn, what starts at turn 2 by default never happens, and no reply is kept.
    let told = refused(MANIFEST, &["study.turns=1"]);
    says(
        &told,
        &[
            "condition `plain`: `from_turn` is 2 (its default), but the study has 1 turn: `user` would never be said",
            "condition `impatient`: `from_turn` is 2",
            "condition `impatient`: `keep` does nothing in a study of 1 turn",
            "set `from_turn = 1`",
            "needs 2 turns from turn 2 on (the default of `first_turn`), but the study has 1 turn",
        ],
    );
    let late = but(PLAIN, &format!("{PLAIN}from_turn = 4\n"));
    says(&refused(&late, &[]), &[&place(&late, "from_turn"), "`from_turn` is 4, but the study has 3 turns"]);
    // A cut length that no reply exceeds.
    let long = but("tokens = 2", "tokens = 5");
    says(
        &refused(&long, &[]),
        &[&place(&long, "tokens = 5, marker"), "a reply has at most 5 tokens: none would ever be cut"],
    );
    says(&refused(MANIFEST, &["generation.max_new_tokens=2"]), &["none would ever be cut"]);
}

#[test]
fn conditions_that_do_not_differ() {
    let same = but(IMPATIENT, PLAIN);
    let told = refused(&same, &[]);
    says(
        &told,
        &[
            "conditions `plain` and `impatient` say and keep the same in all 2 groups, though their factors differ",
            "`same_as = \"plain\"`",
            "1 error",
        ],
    );
    // Wordings drawn the same way make equal conditions; a cut makes a difference.
    let cut = but(IMPATIENT, &format!("{PLAIN}keep = {{ tokens = 2 }}\n"));
    assert!(!taken(&cut, &[]).contains("warning"));
    // `same_as` declares a placebo. Greedy replies repeat it exactly, so that is a warning.
    let placebo = but(IMPATIENT, &format!("{PLAIN}same_as = \"plain\"\n"));
    says(&taken(&placebo, &[]), &["warning", "`impatient` repeats `plain` word for word"]);
    assert!(!taken(&placebo, &["generation.temperature=1"]).contains("warning"));
    let other = but(IMPATIENT, &format!("{IMPATIENT}same_as = \"plain\"\n"));
    says(&refused(&other, &[]), &["`impatient` is declared the same as `plain`, but they differ"]);
    let unknown = but(IMPATIENT, &format!("{PLAIN}same_as = \"plian\"\n"));
    says(&refused(&unknown, &[]), &[&place(&unknown, "same_as"), "no other condition is called `plian`", "`plain`?"]);
    // With equal factors the same conversation is held twice: wasteful, but no false comparison.
    let twice = analyzers("").replace(IMPATIENT, PLAIN).replace("\"high\"", "\"low\"");
    says(&taken(&twice, &[]), &["conditions `plain` and `impatient` say and keep the same", "leave one of them out"]);
}

#[test]
fn contrasts_that_the_conditions_do_not_offer() {
    let third = "[[condition]]\nname = \"third\"\nplugin = \"template\"\nuser = \"So. {question}\"\nfactors = { volume = \"medium\" }\n[[hook]]";
    let three = but("[[hook]]", third);
    // Of three levels each is compared with one of them; a difference of differences is of two by two.
    taken(&three, &[]);
    let crossed = three.replace("volume × turn", "volume × tone");
    says(
        &refused(&crossed, &[]),
        &[
            &place(&crossed, "primary"),
            "compares 2 levels of factor `volume`, but the conditions carry 3: high, low, medium",
        ],
    );
    // The level that others are compared with must be there.
    let primary = "primary = \"volume × turn\"\n";
    taken(&but(primary, &format!("{primary}reference = \"high\"\n")), &[]);
    let unknown = but(primary, &format!("{primary}reference = \"hihg\"\n"));
    let lacks = "no condition's `volume` has the level `hihg`";
    says(&refused(&unknown, &[]), &[&place(&unknown, "reference"), lacks, "`high`?"]);
    let told = refused(MANIFEST, &["analyzer.0.primary=\"tone × turn\""]);
    says(
        &told,
        &[
            "--set analyzer.0.primary=\"tone × turn\": this analyzer compares levels of factor `tone`",
            "no condition has such a factor",
        ],
    );
    let told = refused(MANIFEST, &["analyzer.0.primary=\"volume*turn\""]);
    says(&told, &["no condition has such a factor", "×: write `volume × turn`", "there are `volume`"]);
    let told = refused(&but("volume = \"high\"", "volume = \"low\""), &[]);
    says(&told, &["compares levels of factor `volume`, but the conditions carry 1"]);
    // A factor whose levels always change together with another's.
    let confounded =
        MANIFEST.replace("\"low\" }", "\"low\", tone = \"a\" }").replace("\"high\" }", "\"high\", tone = \"b\" }");
    let told = refused(&confounded, &[]);
    says(&told, &["no two conditions differ in `volume` alone", "`plain` and `impatient` differ in `tone` too"]);
    // A cell of a crossed design is missing: complete pairs count, and the rest gets a warning.
    let cell = |name: &str, volume: &str, tone: &str| {
        format!(
            "[[condition]]\nname = \"{name}\"\nplugin = \"template\"\nuser = \"{name} {{question}}\"\nfactors = {{ volume = \"{volume}\", tone = \"{tone}\" }}\n"
        )
    };
    let crossed = MANIFEST
        .replace("\"low\" }", "\"low\", tone = \"a\" }")
        .replace("\"high\" }", "\"high\", tone = \"a\" }")
        .replace("[[hook]]", &format!("{}[[hook]]", cell("third", "low", "b")));
    says(&taken(&crossed, &[]), &["warning", "`third`: no single partner that differs in `volume` alone"]);
    let whole = crossed.replace("[[hook]]", &format!("{}[[hook]]", cell("fourth", "high", "b")));
    assert!(!taken(&whole, &[]).contains("warning"));
}

#[test]
fn turns_that_an_analyzer_never_sees() {
    let probe = "[[analyzer]]\nplugin = \"linear-probe\"\ntarget = \"volume\"\nsites = [\"resid_post.3\"]\n";
    let lens = "[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.3\"]\n";
    for (tables, turns, told) in [
        (probe, "first_turn = 4", "reads turns from 4 on, but the study has 3 turns"),
        (lens, "first_turn = 4", "reads turns from 4 on, but the study has 3 turns"),
        (BEHAVIOR, "first_turn = 3", "needs 2 turns from turn 3 on, but the study has 3 turns"),
        (BEHAVIOR, "first_turn = 0", "`first_turn` counts from 1"),
        (probe, "first_turn = 0", "`first_turn` counts from 1"),
    ] {
        let m = analyzers(&format!("{tables}{turns}\n"));
        says(&refused(&m, &[]), &[&place(&m, turns), told]);
        taken(&analyzers(tables), &[]);
    }
}

#[test]
fn filters_arms_and_cuts_that_are_not_there() {
    let probe = |target: &str, more: &str| {
        analyzers(&format!(
            "[[analyzer]]\nplugin = \"linear-probe\"\ntarget = \"{target}\"\nsites = [\"resid_post.3\"]\n{more}\n"
        ))
    };
    for (m, at, told) in [
        (
            probe("volume", "where = { volume = \"loud\" }"),
            "volume = \"loud\"",
            "`where` holds for no condition: no condition has `volume = loud`",
        ),
        (
            probe("volume", "train_where = { tone = \"a\" }"),
            "tone",
            "`train_where` holds for no condition: no condition has a factor `tone`",
        ),
        (
            probe("volume", "where = { volume = \"low\" }"),
            "where",
            "where `where` holds, `volume` is low alone: there is nothing to compare",
        ),
        (probe("volume", "arms = true"), "arms", "reads arms beside the untouched one, but no hook brings any"),
        (
            probe("interruptions", "where = { volume = \"low\" }"),
            "\"interruptions\"",
            "no condition that `where` chooses cuts any",
        ),
    ] {
        let key = if at == "\"interruptions\"" { "target" } else { at };
        says(&refused(&m, &[]), &[&place(&m, key), told]);
    }
    taken(&probe("interruptions", ""), &[]);
    // The training conditions must cut some replies, and a probe needs one group to train on and one to test on.
    let never = probe("interruptions", "train_where = { volume = \"low\" }");
    says(&refused(&never, &[]), &["no condition that `train_where` chooses cuts any"]);
    let one = probe("volume", "");
    says(&refused(&one, &["study.groups=1"]), &["this analyzer needs 2 groups, the study has 1"]);
    // One wording for each level: with it held out there is nothing to train on.
    let phrases = probe("volume", "folds_by = [\"group\", \"phrase\"]");
    says(&refused(&phrases, &[]), &[&place(&phrases, "\"phrase\""), "`volume = low` is said in one wording"]);
    taken(&phrases.replace("\"ok. {question}\"", "[\"ok. {question}\", \"so. {question}\"]"), &["study.groups=4"]);
    let all = probe("correct", "where = { volume = \"low\" }").replace("volume = \"high\"", "volume = \"low\"");
    says(&taken(&all, &[]), &["`where` holds for every condition: it leaves none out"]);
    let steering = analyzers("[[analyzer]]\nplugin = \"steering\"\nagainst = { volume = \"mid\" }\n");
    let told = refused(&steering, &[]);
    says(&told, &["no hook brings any", "`against` holds for no condition", "2 errors"]);
}

#[test]
fn outcomes_that_the_study_does_not_have() {
    let probe = |more: &str| {
        analyzers(&format!("[[analyzer]]\nplugin = \"linear-probe\"\nsites = [\"resid_post.3\"]\n{more}\n"))
    };
    let lens = analyzers("[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.3\"]\n");
    let wrong = probe("target = \"correct\"\noutcome = \"log_odds\"");
    says(
        &refused(&wrong, &[]),
        &[&place(&wrong, "target = \"correct\""), "but `outcome` is `log_odds`", "target = \"outcome\""],
    );
    let wrong = probe("target = \"volume\"\noutcome = \"aside.mood\"");
    says(&refused(&wrong, &[]), &[&place(&wrong, "outcome = \"aside.mood\""), "there is no `[[aside]]`"]);
    let odds = probe("target = \"outcome\"\noutcome = \"log_odds\"");
    let correct = probe("target = \"correct\"");
    for m in [&lens, &odds, &correct] {
        taken(m, &[]);
    }
    // Open questions: there is no right choice and no score. What needs neither is taken.
    let open = |m: &str| {
        let w = world(m);
        let line = |i: usize| format!("{{\"question\": \"what of {i}?\", \"category\": \"law\"}}\n");
        std::fs::write(w.path().join("q.jsonl"), (0..8).map(line).collect::<String>()).unwrap();
        let o = with("check", w.path(), &[]);
        (o.status.code(), plain(&o))
    };
    for (m, at, told) in [
        (&lens, "[[analyzer]]\nplugin = \"logit-lens\"", "no item of the dataset has choices, one of which is right"),
        (&odds, "outcome = \"log_odds\"", "no right choice among several"),
        (&correct, "[[analyzer]]\nplugin = \"linear-probe\"", "no reply to the first items has a score"),
    ] {
        let (code, said) = open(m);
        assert_eq!(code, Some(2), "{said}");
        says(&said, &[&place(m, at), told]);
    }
    for taken in [probe("target = \"volume\""), probe("target = \"outcome\"\noutcome = \"reply_tokens\"")] {
        let (code, said) = open(&taken);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn options_that_do_nothing() {
    let told = taken(MANIFEST, &["generation.top_p=0.5", "model.revision=main"]);
    says(
        &told,
        &["--set generation.top_p=0.5: `top_p` does nothing at `temperature = 0`", "`path:model` is no repository"],
    );
    assert!(!taken(MANIFEST, &["generation.top_p=0.5", "generation.temperature=1"]).contains("warning"));
    let told = taken(MANIFEST, &["hook.0.positions=[\"reply:9\"]"]);
    says(&told, &["`reply:9` reads 9 tokens of a reply, which has at most 5"]);
    let twice = but("\"resid_post.3\"]", "\"resid_post.3\", \"resid_post.3\"]\npositions = []");
    says(&refused(&twice, &[]), &["`resid_post.3` is listed twice", "`positions` must name at least one", "2 errors"]);
    says(&taken(MANIFEST, &["study.arms=listed"]), &["`arms` does nothing: fewer than two hooks have arms"]);
    let lens = analyzers("[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.3\"]\nrandom = 9\n");
    says(&refused(&lens, &[]), &[&place(&lens, "random"), "`random` does nothing: there are no `directions`"]);
    let order = but("repeat = true", "topics = [\"law\", \"art\"]\nshuffle = false");
    says(&refused(&order, &["study.turns=1"]), &["a study of 1 turn in this order never comes to `art`"]);
    // `run` prints the warning with its findings, and `--json` has a field for it.
    let w = world(MANIFEST);
    let o = with("run", w.path(), &["generation.top_p=0.5"]);
    assert!(o.status.success(), "{}", raw(&o));
    assert!(errors(&o.stderr).starts_with("warning: --set generation.top_p=0.5"), "{}", raw(&o));
    assert!(raw(&o).contains("! 4 warnings. behavior"), "{}", raw(&o));
    let o = friction(w.path(), &["--json", "check", "m.toml", "--set", "generation.top_p=0.5"]);
    let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 1, "{json}");
}

#[test]
fn errors_point_at_the_key() {
    for (from, to, at, told) in [
        ("tokens = 2, marker", "share = 1.5, tokens = 2, marker", "share", "`share` must be above 0 and at most 1"),
        ("\"Hurry up. {question}\"", "\"Hurry up.\"", "\"Hurry up.\"", "has no `{question}`"),
        ("primary = \"volume × turn\"", "primary = \"volume × \"", "primary", "is none of `<factor> × turn`"),
        ("repeat = true", "topics = [\"law\", \"lwa\"]", "\"lwa\"", "did you mean `law`?"),
        ("\"resid_post.3\"]", "\"embed\", \"resid_post.9\"]", "\"resid_post.9\"", "its 7 layers are 0 to 6"),
        ("path = \"q.jsonl\"", "path = \"none.jsonl\"", "path = \"none", "none.jsonl"),
    ] {
        let m = but(from, to);
        says(&refused(&m, &[]), &[&place(&m, at), told, "1 error"]);
    }
    // What a text inserts may be seen only in a turn.
    let m = but("\"ok. {question}\"", "\"ok. {question} {metadata.hint}\"");
    says(&refused(&m, &[]), &[&place(&m, "user = \"ok."), "turn 2 of group 0", "there is no `metadata.hint` here"]);
    // Several faults in one table are reported as several errors.
    let m = but("primary = \"volume × turn\"", "primary = \"volume × \"\nlevel = 2.0");
    says(&refused(&m, &[]), &[&place(&m, "primary"), &place(&m, "level"), "2 errors"]);
    // An error about the tokenizer points at its key.
    let m = but("[generation]", "tokenizer = \"no-such-folder/tokenizer.json\"\n[generation]");
    says(&refused(&m, &[]), &[&place(&m, "tokenizer"), "no-such-folder/tokenizer.json"]);
}

#[test]
fn settings_are_told_as_they_were_written() {
    for (set, told) in [
        ("hook.0.sites=[\"resid_post.9\"]", "has no site `resid_post.9`"),
        ("hook.0.sits=1", "unknown key `sits`"),
        ("study.turns=0", "`turns` must be from 1 to 1000"),
        ("hook.7.sites=[]", "there is no entry 7: the list has 1, counted from 0"),
        ("hook.first.sites=[]", "`first` is in the place of a number"),
        ("study", "`study` is not `key=value`"),
        ("=3", "`=3` names no key: a key is a path"),
        ("study..turns=3", "has an empty step in its key"),
    ] {
        let o = with("check", world(MANIFEST).path(), &[set]);
        assert_eq!(o.status.code(), Some(2), "{set}: {}", raw(&o));
        says(&plain(&o), &[&format!("--set {set}: "), told]);
        assert!(!raw(&o).contains("[0]"), "{set}: {}", raw(&o));
    }
    // If a key is set twice the last value counts, and errors name that one.
    let o = with("check", world(MANIFEST).path(), &["study.turns=0", "study.turns=2000"]);
    assert!(raw(&o).contains("--set study.turns=2000: ") && !raw(&o).contains("turns=0"), "{}", raw(&o));
}

#[test]
fn another_word_is_not_meant() {
    let m = but("max_new_tokens = 5", "max_new_tokens = 5\nbeams = 40");
    let told = refused(&m, &[]);
    says(&told, &[&place(&m, "beams"), "unknown key `beams`", "known here: `max_new_tokens`, `temperature`, `top_p`"]);
    assert!(!told.contains("did you mean"), "{told}");
    let m = but("turns = 3", "turns = 3\nmax_new_tokens = 5");
    says(&refused(&m, &[]), &["unknown key `max_new_tokens`", "`max_new_tokens` is a key of `[generation]`"]);
    let told = refused(MANIFEST, &["backend.kind=gpu"]);
    assert!(!told.contains("did you mean `cpu`"), "{told}");
    says(&refused(MANIFEST, &["study.gruops=3"]), &["did you mean `groups`?"]);
    let told = refused(&but("turns = 3", "turns = \"three\""), &[]);
    says(&told, &["expected a whole number from 0"]);
}

#[test]
fn names_and_paths_are_not_broken() {
    let folder = "a-folder-with-a-long-name/".repeat(5) + "gemma-3-270m-it-q4_k_m";
    let o = with("check", world(MANIFEST).path(), &[&format!("model.source=path:{folder}")]);
    assert_eq!(o.status.code(), Some(2), "{}", raw(&o));
    assert!(raw(&o).lines().filter(|l| l.contains(&folder)).count() >= 2, "{}", raw(&o));
    // Lines break at spaces and stay within 90 characters where the words allow it.
    let o = with("check", world(MANIFEST).path(), &["study.turns=1"]);
    assert!(raw(&o).lines().all(|l| l.chars().count() <= 90), "{}", raw(&o));
}

/// What fails while a condition asks is told with the line of the condition, the turn and the group.
#[test]
fn a_condition_that_fails_to_ask_is_refused_before_the_run() {
    let m = but("user = \"ok. {question}\"", "user = \"ok. {question} {metadata.colour.shade}\"");
    let told = refused(&m, &[]);
    let at = place(&m, "user = \"ok. {question} {metadata");
    says(&told, &[&at, "turn 2 of group 0, condition `plain`", "`.colour.shade`"]);
    let m = but("user = \"ok. {question}\"", "user = \"ok. {question} {{ history[-2].reply }}\"");
    says(&refused(&m, &[]), &["turn 2 of group 0, condition `plain`"]);
    let m = but("user = \"ok. {question}\"", "user = \"ok. {question}\"\nstop_when = \"matches(last_reply, '(')\"");
    says(&refused(&m, &[]), &["turn 2 of group 0, condition `plain`", "regex"]);
    let m = but(
        "user = \"ok. {question}\"",
        "user = \"ok. {question}\"\nif_wrong = \"{metadata.colour.shade} {question}\"",
    );
    says(&refused(&m, &[]), &["turn 2 of group 0, condition `plain`"]);
}
