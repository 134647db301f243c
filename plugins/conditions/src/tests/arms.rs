//! Options that take apart what an interruption is made of.
use super::*;
use friction_core::{Ask, Filler, Goal, History, Place, seed};
use std::collections::BTreeSet;

/// What a condition asks in a turn of a group, with so many exchanges before it, of which the last was cut by `removed`
/// tokens.
fn asked(c: &dyn Condition, group: usize, before: usize, removed: usize) -> Ask {
    let exchange = |turn: usize| Exchange {
        turn,
        user: format!("u{turn}"),
        reply: format!("whole{turn}"),
        kept: format!("kept{turn}"),
        removed_tokens: if turn == before { removed } else { 0 },
        ..Exchange::default()
    };
    let history: Vec<Exchange> = (1..=before).map(exchange).collect();
    c.ask(&place(group, before + 1, &item(), &history)).unwrap().unwrap()
}

fn place<'a>(group: usize, turn: usize, item: &'a Item, history: &'a [Exchange]) -> TurnContext<'a> {
    let (turns, round, rounds, topic, prompt) = (300, 1, 1, "law", "why?");
    TurnContext { seed: 1, group, sample: 0, turn, turns, round, rounds, topic, item, prompt, history }
}

#[test]
fn a_marker_alone_follows_whole_replies() {
    let c = keeps(r#"{ marker = " -" }"#);
    let ids: Vec<u32> = "abc \n".chars().map(|c| c as u32).collect();
    assert_eq!(kept(c.as_ref(), "abc \n", &ids, &Letters, 2), Kept { text: "abc -".into(), removed_tokens: 0 });
    let some = keeps(r#"{ marker = " -", share = 0.5 }"#);
    let marked = (1..200).filter(|t| kept(some.as_ref(), "ab", &ids, &Letters, *t).text == "ab -").count();
    assert!((80..120).contains(&marked), "{marked}");
    let cx = study(r#""turns": 3"#, 50);
    assert_eq!(refused("keep = {}", &cx), ["keep"]);
    assert_eq!(refused("keep = { tokens = 0 }", &cx), ["keep.tokens"]);
    assert!(refused("keep = { tokens = 0, marker = \"x\" }", &cx).is_empty());
}

/// The turns in which a condition cuts replies, of 12.
fn cuts(c: &dyn Condition, group: usize) -> BTreeSet<usize> {
    let ids: Vec<u32> = "abcd".chars().map(|c| c as u32).collect();
    let cut = |turn: &usize| {
        let item = item();
        let cx = TurnContext { turns: 12, ..place(group, *turn, &item, &[]) };
        c.keep(&Reply { text: "abcd", ids: &ids, prefill: "", codec: &Letters }, &cx).unwrap().removed_tokens > 0
    };
    (1..12).filter(cut).collect()
}

#[test]
fn a_schedule_and_its_complement_share_out_the_turns() {
    let build = |schedule: &str| {
        build(&format!("user = \"x {{question}}\"\nkeep = {{ tokens = 1, schedule = {schedule} }}"), r#""turns": 12"#)
    };
    let all: BTreeSet<usize> = (1..12).collect();
    for more in ["", ", exactly = true"] {
        let own = build(&format!("{{ share = 0.4{more} }}"));
        let rest = build(&format!("{{ share = 0.4{more}, complement = true }}"));
        let mut seen = BTreeSet::new();
        for group in 0..40 {
            let (a, b) = (cuts(own.as_ref(), group), cuts(rest.as_ref(), group));
            assert!(a.is_disjoint(&b) && &a | &b == all, "{a:?} {b:?}");
            // 0.4 of eleven replies are 4.4.
            assert!(more.is_empty() || a.len() == 4, "{a:?}");
            seen.insert(a);
        }
        assert!(seen.len() > 20, "groups have turns of their own: {seen:?}");
    }
    let bounds = |schedule: &str| build(schedule).bounds();
    let (own, rest) = (bounds("{ share = 0.4 }"), bounds("{ share = 0.4, complement = true }"));
    assert!(own.schedule.is_some() && own.schedule == rest.complement && rest.schedule.is_none());
    assert_ne!(own.schedule, bounds("{ share = 0.4, exactly = true }").schedule);
    // Without `exactly` a schedule draws as `share` does.
    let plain = build_keep("share = 0.4");
    assert_eq!(cuts(plain.as_ref(), 3), cuts(build("{ share = 0.4 }").as_ref(), 3));
    let numbers: BTreeSet<usize> = (0..40).map(|g| cuts(plain.as_ref(), g).len()).collect();
    assert!(numbers.len() > 2, "{numbers:?}");
    let cx = study(r#""turns": 3"#, 50);
    let faults = |keep: &str| refused(&format!("user = \"x {{question}}\"\nkeep = {{ tokens = 1, {keep} }}"), &cx);
    assert_eq!(faults("schedule = { share = 1.0 }"), ["keep.schedule.share"]);
    assert_eq!(faults("share = 0.5, schedule = { share = 0.5 }"), ["keep.share"]);
    // Of two replies, 0.1 are none.
    assert_eq!(faults("schedule = { share = 0.1, exactly = true }"), ["keep.schedule.share"]);
    assert!(faults("schedule = { share = 0.5, exactly = true }").is_empty());
}

fn build_keep(keep: &str) -> Box<dyn Condition> {
    build(&format!("user = \"x {{question}}\"\nkeep = {{ tokens = 1, {keep} }}"), r#""turns": 12"#)
}

#[test]
fn words_can_follow_what_was_cut() {
    let c = build(
        "user = \"{{ 'nvm.' if last_removed else 'Okay.' }} {question} ({last_kept}{{ (history|last).removed }})\"",
        r#""turns": 12"#,
    );
    assert_eq!(asked(c.as_ref(), 0, 2, 3).text, "nvm. why? (kept23)");
    assert_eq!(asked(c.as_ref(), 0, 2, 0).text, "Okay. why? (kept20)");
    assert!(c.bounds().reads_history);
}

#[test]
fn earlier_exchanges_are_read_told_or_left_out() {
    let ask = |toml: &str, before: usize| asked(build(toml, r#""turns": 12"#).as_ref(), 0, before, 0);
    let nvm = "user = \"nvm. {question}\"\n";
    assert_eq!(ask(nvm, 2).history, History::Kept);
    let alone = format!("{nvm}history = \"none\"");
    assert_eq!((ask(&alone, 2).history, ask(&alone, 2).text.as_str()), (History::None, "nvm. why?"));
    let told = format!("{nvm}history = \"message\"");
    let all = "User: u1\n\nAssistant: kept1\n\nUser: u2\n\nAssistant: kept2\n\nUser: ";
    assert_eq!((ask(&told, 2).history, ask(&told, 2).text.as_str()), (History::Told(all.into()), "nvm. why?"));
    // Turn 1 is the same in all of them.
    for toml in [&alone, &told] {
        assert_eq!(ask(toml, 0), ask(nvm, 0));
    }
    let recap = format!("{told}\ntranscript = \"{{% for e in history %}}{{{{ e.user }}}} {{% endfor %}}\"");
    assert_eq!(ask(&recap, 2).history, History::Told("u1 u2 ".into()));
    assert!(build(&told, r#""turns": 2"#).bounds().reads_history);
    assert!(!build(&alone, r#""turns": 2"#).bounds().reads_history);

    let cx = study(r#""turns": 3"#, 50);
    assert_eq!(refused(&format!("{nvm}transcript = \"{{history}}\""), &cx), ["transcript"]);
    assert_eq!(refused(&format!("{told}\ntranscript = \"{{turn}}\""), &cx), ["transcript"]);
    assert_eq!(refused(&format!("{told}\ntranscript = \"{{histroy}}\""), &cx), ["transcript"]);
    let keep = "keep = { tokens = 3 }";
    assert_eq!(refused(&format!("{alone}\n{keep}"), &cx), ["keep"]);
    assert!(refused(&format!("{told}\n{keep}"), &cx).is_empty());
    // A message may tell what was kept.
    let reads = format!("user = \"{{last_kept}} {{question}}\"\nhistory = \"none\"\n{keep}");
    assert!(refused(&reads, &cx).is_empty());
    let once = study(r#""turns": 1"#, 50);
    assert_eq!(refused("user = \"{question}\"\nhistory = \"none\"", &once), ["history"]);
}

#[test]
fn filler_is_asked_for_where_the_template_applies() {
    let toml = |filler: &str| format!("user = \"nvm. {{question}}\"\nkeep = {{ tokens = 3 }}\nfiller = {filler}");
    let ask = |filler: &str, before: usize| asked(build(&toml(filler), r#""turns": 12"#).as_ref(), 0, before, 0).filler;
    let one = "{ text = \"So it goes.\" }";
    let whole = Filler { sentences: vec!["So it goes.".into()], place: Place::Begin, goal: Goal::Whole };
    assert_eq!((ask(one, 1), ask(one, 0)), (Some(whole.clone()), None), "turn 1 is the bare question");
    let all = "{ text = [\"So.\", \"It goes.\"], place = \"end\", wording_tokens = 30 }";
    let sentences = vec!["So.".into(), "It goes.".into()];
    assert_eq!(ask(all, 1), Some(Filler { sentences, place: Place::End, goal: Goal::Beyond(30) }));

    let cx = study(r#""turns": 3"#, 50);
    let faults = |toml: &str| refused(toml, &cx);
    assert_eq!(faults(&toml("{ text = [] }")), ["filler.text"]);
    assert_eq!(faults(&toml("{ text = \" \" }")), ["filler.text"]);
    assert_eq!(faults(&toml("{ text = [\"a\", \"\"] }")), ["filler.text.1"]);
    // A placeholder would be said with its braces; a number in braces is text.
    assert_eq!(faults(&toml("{ text = \"Of {topic}.\" }")), ["filler.text"]);
    assert_eq!(
        faults(&toml("{ text = [\"a\", \"{{ turn }} b\", \"{metadata.x}\"] }")),
        ["filler.text.1", "filler.text.2"]
    );
    assert!(faults(&toml("{ text = \"a {1} {b} c\" }")).is_empty());
    let shots = "user = \"a {question}\"\nshots = [{ user = \"{question}\", assistant = \"B {x}\" }]";
    assert_eq!(faults(shots), ["shots.0.user"]);
    assert_eq!(faults(&toml("{ text = \"a\", wording_tokens = 0 }")), ["filler.wording_tokens"]);
    // Without a cut there is nothing to fill, but a wording can be made longer.
    assert_eq!(faults("user = \"a {question}\"\nfiller = { text = \"b\" }"), ["filler"]);
    assert_eq!(faults("user = \"a {question}\"\nkeep = { marker = \"-\" }\nfiller = { text = \"b\" }"), ["filler"]);
    assert!(faults("user = \"a {question}\"\nfiller = { text = \"b\", wording_tokens = 9 }").is_empty());
    let apart = format!("{}\nhistory = \"message\"", toml("{ text = \"b\" }"));
    assert_eq!(faults(&apart), ["filler"]);
}

#[test]
fn held_out_wordings_are_said_in_groups_of_their_own() {
    let wordings = "user = [\"a {question}\", \"b {question}\", \"c {question}\", \"d {question}\"]\n";
    let toml = |held: &str| format!("{wordings}held_out = {held}");
    let of = |held: &str, groups: usize| {
        let cx = BuildContext { seed: 7, ..study_of(groups) };
        let t = template(&toml(held));
        t.validate().unwrap();
        let c = t.build(&cx).unwrap();
        let said =
            |g: usize| (1..40).filter_map(|before| asked(c.as_ref(), g, before, 0).phrase).collect::<BTreeSet<_>>();
        (0..groups).map(said).collect::<Vec<_>>()
    };
    let (training, held) = (BTreeSet::from([0, 2]), BTreeSet::from([1, 3]));
    let groups = of("{ wordings = [3, 1], share = 0.25 }", 12);
    // A quarter of twelve groups is three, drawn by this seed.
    let order = seed::permutation(12, seed::derive(&[b"held out", &7u64.to_le_bytes()]));
    for (g, said) in groups.iter().enumerate() {
        let confirms = order.iter().position(|o| *o == g).unwrap() < 3;
        assert_eq!(said, if confirms { &held } else { &training }, "group {g}");
    }
    assert!(of("{ wordings = [1, 3], share = 0 }", 3).iter().all(|said| *said == training));
    assert!(of("{ wordings = [1, 3], share = 1.0 }", 3).iter().all(|said| *said == held));

    let cx = study_of(3);
    let faults = |held: &str| refused(&toml(held), &cx);
    assert_eq!(faults("{ wordings = [4], share = 0.5 }"), ["held_out.wordings.0"]);
    assert_eq!(faults("{ wordings = [], share = 0.5 }"), ["held_out.wordings"]);
    assert_eq!(faults("{ wordings = [1, 1], share = 0.5 }"), ["held_out.wordings"]);
    assert_eq!(faults("{ wordings = [0, 1, 2, 3], share = 0.5 }"), ["held_out.wordings"]);
    assert_eq!(faults("{ wordings = [0], share = 1.5 }"), ["held_out.share"]);
    assert_eq!(faults("{ wordings = [0], share = 0.1 }"), ["held_out.share"], "0.1 of three groups is none");
}

fn study_of(groups: usize) -> BuildContext {
    let mut cx = study(r#""turns": 50"#, 50);
    cx.study.as_mut().unwrap().groups = groups;
    cx
}

#[test]
fn wordings_that_must_be_equally_long_are_shown_to_the_check() {
    let toml = "equal_tokens = true\nuser = [\"a {question}\", \"b {topic} {question}\"]\nif_wrong = \"No.\"";
    let c = build(toml, r#""turns": 12"#);
    let item = item();
    assert_eq!(c.equals(&place(0, 2, &item, &[])).unwrap(), ["a why?", "b law why?"]);
    assert!(c.equals(&place(0, 1, &item, &[])).unwrap().is_empty(), "turn 1 is the bare question");
    let wrong = Grade { score: Some(0.0), ..Grade::default() };
    let history = [Exchange { turn: 1, grade: wrong, ..Exchange::default() }];
    assert!(c.equals(&place(0, 2, &item, &history)).unwrap().is_empty(), "`if_wrong` is said, and has one wording");
    let cx = study(r#""turns": 3"#, 50);
    assert_eq!(refused("equal_tokens = true\nuser = \"a {question}\"", &cx), ["equal_tokens"]);
}
