//! The analyzer on small runs in memory.
#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::{ConversationId, TapArray, TurnRow};
use friction_stats::Rng;
use serde_json::{Value, json};

const WIDTH: usize = 6;
const SITE: Site = Site::ResidPost(1);

/// A run in memory: turns, and the activations of each.
#[derive(Default)]
struct Run {
    turns: Vec<TurnRow>,
    /// For each turn its tokens, `[tokens][WIDTH]`.
    tokens: Vec<Vec<Vec<f32>>>,
}

impl RunReader for Run {
    fn name(&self) -> &str {
        "memory"
    }
    fn seed(&self) -> u64 {
        5
    }
    fn turns(&self) -> &[TurnRow] {
        &self.turns
    }
    fn tap(&self, of: ConversationId, site: Site, _: Position) -> Result<Option<TapArray>> {
        let own: Vec<&Vec<Vec<f32>>> =
            self.turns.iter().zip(&self.tokens).filter(|(t, _)| t.conversation() == of).map(|(_, x)| x).collect();
        let positions = own.iter().map(|t| t.len()).max().unwrap_or(0).max(1);
        let mut data = vec![f32::NAN; own.len() * positions * WIDTH];
        for (t, tokens) in own.iter().enumerate() {
            for (p, row) in tokens.iter().enumerate() {
                data[(t * positions + p) * WIDTH..][..WIDTH].copy_from_slice(row);
            }
        }
        Ok((site == SITE).then_some(TapArray { shape: [own.len(), positions, WIDTH], data }))
    }
    fn findings(&self, _: &str) -> Option<Value> {
        None
    }
}

/// How a run is made.
struct Made<'a> {
    levels: &'a [&'a str],
    groups: u32,
    samples: u32,
    /// Number of turns of a conversation, from group, level and sample.
    turns: &'a dyn Fn(u32, usize, u32) -> u32,
    /// Number of tokens of a turn.
    tokens: &'a dyn Fn(u32, u32) -> usize,
    graded: bool,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self { levels: &["calm", "rude"], groups: 12, samples: 1, turns: &|_, _, _| 5, tokens: &|_, _| 1, graded: true }
    }
}

impl Made<'_> {
    /// The level moves the activations along its own axis. Right answers go along axis 4, and the metric `length` is a
    /// number along axis 5; neither depends on the level.
    fn run(&self) -> Run {
        let mut rng = Rng::new(11);
        let mut out = Run::default();
        for group in 0..self.groups {
            let own: Vec<f64> = (0..WIDTH).map(|_| 0.5 * rng.normal()).collect();
            for (l, level) in self.levels.iter().enumerate() {
                for sample in 0..self.samples {
                    for turn in 1..=(self.turns)(group, l, sample) {
                        let (right, length) = (rng.unit() < 0.5, rng.normal());
                        let n = (self.tokens)(group, turn);
                        let one = |rng: &mut Rng| -> Vec<f32> {
                            let push = |i: usize| match i {
                                4 if right => 1.0,
                                5 => length,
                                i if i == l => 1.5,
                                _ => 0.0,
                            };
                            (0..WIDTH).map(|i| (own[i] + push(i) + 0.4 * rng.normal()) as f32).collect()
                        };
                        out.tokens.push((0..n).map(|_| one(&mut rng)).collect());
                        out.turns.push(TurnRow {
                            group,
                            sample,
                            turn,
                            round: 1,
                            condition: format!("c_{level}"),
                            factors: [("tone".to_string(), level.to_string())].into(),
                            topic: format!("topic {}", (group + turn) % 3),
                            item_id: format!("{group}-{turn}"),
                            user: format!("please go on with number {turn} then"),
                            reply_tokens: n as u32,
                            finish_reason: "stop".into(),
                            target: self.graded.then(|| "A".into()),
                            answer: self.graded.then(|| if right { "A" } else { "B" }.into()),
                            score: self.graded.then_some(f64::from(u8::from(right))),
                            metrics: [("length".to_string(), length), ("yes".to_string(), f64::from(u8::from(right)))]
                                .into(),
                            ..TurnRow::default()
                        });
                    }
                }
            }
        }
        out
    }
}

fn options(more: Value) -> LinearProbe {
    let mut all = json!({"target": "tone", "sites": [SITE], "permutations": 99, "c": [0.1, 1.0]});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let o: LinearProbe = serde_json::from_value(all).unwrap();
    o.validate().unwrap();
    o
}

fn found(run: &Run, more: Value) -> Findings {
    let mut out = Findings::default();
    options(more).analyze(run, &mut out).unwrap();
    out
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

#[test]
fn the_score_is_told_in_points_as_before() {
    let run = Made::default().run();
    let f = found(&run, json!({}));
    for key in ["next_answer", "next_answer_adjusted"] {
        let value = &f.values[key];
        assert!(
            value["points"] == value["estimate"] && value["unit"] == "points" && value["outcome"] == "score",
            "{value}"
        );
    }
    let e = f.estimates().find(|e| e.what == "answers per SD of score").unwrap();
    assert_eq!(e.unit, "points");
    // The score that is named is the one that is taken without a name.
    let named = found(&run, json!({"outcome": "score"}));
    assert_eq!(f.values, named.values);
}

#[test]
fn a_yes_or_no_is_read_like_right_answers_and_a_number_by_r2() {
    let run = Made::default().run();
    let [a, b] = [json!({"target": "correct"}), json!({"target": "outcome", "outcome": "metric.yes"})];
    let (a, b) = (found(&run, a), found(&run, b));
    for key in ["estimate", "low", "high", "p"] {
        assert_eq!(a.values["headline"][key], b.values["headline"][key], "{key}");
    }
    assert_eq!(
        (&b.values["headline"]["measure"], &b.values["headline"]["target"]),
        (&json!("AUC"), &json!("metric.yes"))
    );
    assert_eq!(a.values["headline"]["target"], "correct");

    let n = found(&run, json!({"target": "outcome", "outcome": "metric.length"}));
    let head = &n.values["headline"];
    assert!(head["measure"] == "R²" && number(&head["estimate"]) > 0.5 && number(&head["p"]) <= 0.01, "{head}");
    assert!(n.texts().any(|t| t.contains("read out as a number")) && !n.values.contains_key("next_answer"));
    assert!(n.files.iter().any(|(name, _)| name == "directions.safetensors"));
    // An outcome that is always a number is no class, even if it happens to be 0 or 1.
    let mut short = Made::default().run();
    short.turns.iter_mut().for_each(|t| t.reply_tokens = u32::from(t.right() == Some(true)));
    let f = found(&short, json!({"target": "outcome", "outcome": "reply_tokens"}));
    assert_eq!(f.values["headline"]["measure"], "R²");
}

#[test]
fn turns_without_the_outcome_are_left_out_and_counted() {
    let mut run = Made::default().run();
    // The last turn alone has the aside, as with `after = "last"`, and one value is not finite.
    for t in run.turns.iter_mut().filter(|t| t.turn == 5) {
        let value = Some(if t.group == 0 { f64::INFINITY } else { t.metrics["length"] });
        t.asides.insert("mood".into(), friction_core::Aside { value, ..Default::default() });
    }
    let f = found(&run, json!({"target": "outcome", "outcome": "aside.mood"}));
    let warned: Vec<&String> = f.warnings().collect();
    assert_eq!(warned, ["74 of 96 turns have no `aside.mood` and are left out"]);
    let f = found(&run, json!({"outcome": "aside.mood"}));
    assert!(f.warnings().any(|w| w.contains("no `aside.mood`")), "{:?}", f.warnings().collect::<Vec<_>>());
    assert_eq!(f.values["next_answer"]["outcome"], "aside.mood");
    let e = options(json!({"target": "outcome", "outcome": "aside.calm"})).analyze(&run, &mut Findings::default());
    assert!(e.unwrap_err().to_string().contains("no turn from 2 on has the outcome `aside.calm`"));
    let f = found(&run, json!({"outcome": "aside.calm"}));
    assert!(f.warnings().any(|w| w.contains("no turn has a `aside.calm`")) && !f.values.contains_key("next_answer"));
}

/// Conversations of unequal length with several samples and no grades, all tokens of the reply, some replies empty.
#[test]
fn open_ended_conversations_need_no_grades() {
    let turns = |g: u32, l: usize, s: u32| 1 + (g + l as u32 + s) % 4;
    let tokens = |g: u32, t: u32| if (g, t) == (3, 2) { 0 } else { (g + 2 * t) as usize % 3 + 1 };
    let made = Made { samples: 2, turns: &turns, tokens: &tokens, graded: false, ..Made::default() };
    let run = made.run();
    let f = found(&run, json!({"position": "reply", "first_turn": 1}));
    let head = &f.values["headline"];
    assert!(number(&head["estimate"]) > 0.85 && number(&head["p"]) <= 0.02, "{head}");
    let empty = run.turns.iter().filter(|t| t.reply_tokens == 0).count();
    let left_out = format!("{empty} of {} turns have no token at `reply`", run.turns.len());
    assert!(empty > 1 && f.warnings().any(|w| w.starts_with(&left_out)), "{:?}", f.warnings().collect::<Vec<_>>());
    assert!(f.texts().any(|t| t.contains("no turn has a `score`")) && !f.values.contains_key("next_answer"));
    let names: Vec<&str> = f.files.iter().map(|(n, _)| n.as_str()).collect();
    assert!(names.contains(&"directions.safetensors") && names.contains(&"mean-difference.repeng.gguf"), "{names:?}");
    // Each sample is its own conversation: with the second one's activations broken, its own turn is named.
    let mut broken = made.run();
    let at = broken.turns.iter().position(|t| t.sample == 1 && t.turn == 1).unwrap();
    broken.tokens[at][0][2] = f32::NAN;
    let e = options(json!({"position": "reply", "first_turn": 1})).analyze(&broken, &mut Findings::default());
    let told = e.unwrap_err().to_string();
    assert!(told.contains("turn 1 of group 0, condition `c_calm`, sample 1: the model's numbers"), "{told}");
}

#[test]
fn three_levels_are_listed_each_with_its_direction() {
    let run = Made { levels: &["calm", "plain", "rude"], groups: 14, ..Made::default() }.run();
    let f = found(&run, json!({}));
    let head = &f.values["headline"];
    assert!(head["measure"] == "balanced accuracy" && number(&head["estimate"]) > 0.7, "{head}");
    assert_eq!(head["p"], 0.01);
    let levels = f.values["levels"].as_array().unwrap();
    assert_eq!(levels.iter().map(|l| &l["name"]).collect::<Vec<_>>(), ["calm", "plain", "rude"]);
    for l in levels {
        assert!(l["rows"] == 56 && number(&l["auc"]) > 0.8 && number(&l["low"]) < number(&l["auc"]), "{l}");
    }
    assert!(f.tables().any(|t| t.name == "levels" && t.rows() == 3));
    assert_eq!(f.values["next_answer"].as_array().unwrap().len(), 3);
    let bytes = &f.files.iter().find(|(n, _)| n == "directions.safetensors").unwrap().1;
    let st = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let mut names = st.names();
    names.sort_unstable();
    let want = ["mean-difference/calm", "mean-difference/plain", "mean-difference/rude", "shuffled-0", "shuffled-1"];
    assert_eq!(names[..5], want.map(|n| format!("resid_post.1/{n}")), "{names:?}");
    // A level's direction points along its own axis.
    let v: Vec<f32> = st
        .tensor("resid_post.1/mean-difference/plain")
        .unwrap()
        .data()
        .chunks(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert!(v.iter().enumerate().all(|(i, x)| i == 1 || *x < v[1]), "{v:?}");
}

#[test]
fn what_cannot_be_told_is_said() {
    let wrong = |more: Value| {
        let mut all = json!({"target": "tone", "sites": [SITE]});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<LinearProbe>(all).map(|o| o.validate().unwrap_err().to_string())
    };
    let told = wrong(json!({"target": "correct", "outcome": "log_odds"})).unwrap();
    assert_eq!(told, "`correct` is the outcome `score`, but `outcome` is `log_odds`");
    assert!(wrong(json!({"outcome": "scores"})).unwrap_err().to_string().contains("did you mean `score`?"));
    let needs = |more: Value| options(more).needs().outcomes;
    assert_eq!(needs(json!({})), []);
    assert_eq!(needs(json!({"target": "correct"})), [Outcome::Score]);
    assert_eq!(needs(json!({"outcome": "log_odds"})), [Outcome::LogOdds]);
    // No reply could be read: nothing is said of right and wrong.
    let mut run = Made::default().run();
    run.turns.iter_mut().for_each(|t| (t.answer, t.score) = (None, Some(0.0)));
    for more in [json!({"target": "correct"}), json!({})] {
        let f = found(&run, more);
        assert!(
            f.warnings().any(|w| w.contains("declares an answer that could be read"))
                && !f.values.contains_key("next_answer")
        );
    }
    // Another outcome of the same replies is told all the same.
    assert!(found(&run, json!({"outcome": "metric.length"})).values.contains_key("next_answer"));
    run.turns.iter_mut().for_each(|t| t.arm = "on".into());
    let e = options(json!({})).analyze(&run, &mut Findings::default()).unwrap_err().to_string();
    assert!(e.contains("no untouched conversation"), "{e}");
}

/// The outcomes that the probe reads, also where the option is left out.
#[test]
fn scores_that_are_read_are_named() {
    let judges = |more: Value| {
        let mut table = json!({"target": "tone", "sites": ["resid_post.1"]});
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<LinearProbe>(table).unwrap().judges()
    };
    assert_eq!(judges(json!({})), [Outcome::Score]);
    assert_eq!(judges(json!({"outcome": "log_odds"})), [Outcome::LogOdds]);
    assert!(judges(json!({"target": "correct", "outcome": "log_odds"})).contains(&Outcome::Score));
}
