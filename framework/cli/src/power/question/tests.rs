#![allow(clippy::unwrap_used)]
use super::*;

fn factors(all: &[(&str, &str)]) -> Factors {
    all.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn comparison(all: &[&str], by_turn: bool) -> Comparison {
    Comparison {
        words: all.join(" × "),
        factors: all.iter().map(|f| f.to_string()).collect(),
        by_turn,
        outcome: Outcome::Score,
        first_turn: if by_turn { 2 } else { 1 },
        last_turn: false,
        reference: None,
        rises: false,
    }
}

fn asked(conditions: &[Factors], c: &Comparison) -> Result<Question, String> {
    of(&conditions.iter().collect::<Vec<_>>(), c, 14, 1)
}

/// Index, added and moved of each cell.
fn parts(q: &Question) -> Vec<(usize, bool, bool)> {
    q.cells.iter().zip(&q.design.cells).map(|(i, c)| (*i, c.added, c.moved)).collect()
}

fn crossed_design() -> Vec<Factors> {
    let of = |a: &str, b: &str| factors(&[("completion", a), ("tone", b)]);
    vec![of("complete", "polite"), of("complete", "blunt"), of("interrupt", "polite"), of("interrupt", "blunt")]
}

#[test]
fn a_slope_is_compared_in_pairs_that_agree_in_the_rest() {
    let q = asked(&crossed_design(), &comparison(&["completion"], true)).unwrap();
    assert_eq!((q.pairs, q.comparisons, q.levels.as_str()), (2, 1, "`interrupt` against `complete`"));
    // Cells by tone: blunt first.
    assert_eq!(parts(&q), [(1, false, false), (3, true, true), (0, false, false), (2, true, true)]);
    assert_eq!((q.design.turns, q.design.measure, q.design.alpha), ((2, 14), Measure::Slope, 0.05));
    q.design.check(1.0).unwrap();
    // The reference decides which level falls.
    let c = Comparison { reference: Some("interrupt".into()), ..comparison(&["completion"], true) };
    assert_eq!(asked(&crossed_design(), &c).unwrap().levels, "`complete` against `interrupt`");
    // The locked direction says whether it falls or rises.
    let rises = Comparison { rises: true, ..c.clone() };
    assert_eq!([&c, &rises].map(|c| asked(&crossed_design(), c).unwrap().design.rises), [false, true]);
}

#[test]
fn a_difference_of_differences_moves_one_cell_of_four() {
    let q = asked(&crossed_design(), &comparison(&["completion", "tone"], false)).unwrap();
    assert_eq!((q.pairs, q.design.measure, q.design.turns), (1, Measure::Mean, (1, 14)));
    // The alphabet makes `complete` and `blunt` the references.
    let want = [(2, true, true), (1, true, false), (0, false, false), (3, false, false)];
    assert_eq!(parts(&q), want);
    q.design.check(5.0).unwrap();
}

#[test]
fn several_levels_share_the_size_of_the_test() {
    let of = |l: &str| factors(&[("volume", l)]);
    let q = asked(&[of("low"), of("high"), of("middle"), of("none")], &comparison(&["volume"], false)).unwrap();
    assert_eq!((q.comparisons, q.pairs, q.levels.as_str()), (3, 1, "`high` against `low`"));
    assert!((q.design.alpha - 0.05 / 3.0).abs() < 1e-15);
    // The last turn of each conversation, by itself.
    let c = Comparison { last_turn: true, ..comparison(&["volume"], false) };
    let last = asked(&[of("low"), of("high")], &c).unwrap();
    assert_eq!((last.design.turns, last.design.alpha), ((14, 14), 0.05));
}

#[test]
fn what_cannot_be_asked_is_said() {
    let one = [factors(&[("completion", "complete")])];
    let bare = crossed_design();
    let lone = [bare[0].clone(), bare[3].clone()];
    for (design, c, part) in [
        (&one[..], comparison(&["completion"], true), "fewer than two levels of factor `completion`"),
        (&lone[..], comparison(&["completion"], true), "no two conditions differ in `completion` alone"),
        (&lone[..], comparison(&["completion", "tone"], false), "no four conditions differ"),
        (
            &bare[..],
            Comparison { outcome: Outcome::LogOdds, ..comparison(&["completion"], true) },
            "compares log-odds of the right choice",
        ),
        (&bare[..], Comparison { first_turn: 14, ..comparison(&["completion"], true) }, "turns from 14 on"),
    ] {
        let told = asked(design, &c).unwrap_err();
        assert!(told.contains(part), "{told}, not {part}");
    }
}

#[test]
fn drifts_are_of_all_conditions_or_of_one() {
    let names = ["cp", "cb", "ip", "ib"];
    let mut q = asked(&crossed_design(), &comparison(&["completion"], true)).unwrap();
    let set = |q: &mut Question, all: &[&str]| drift(q, &names, &all.iter().map(|t| t.to_string()).collect::<Vec<_>>());
    set(&mut q, &["cb=-0.5", "-0.2", "ib=-0.5"]).unwrap();
    // The cells are cb, ib, cp, ip.
    let got: Vec<f64> = q.design.cells.iter().map(|c| c.drift).collect();
    assert_eq!(got, [-0.5, -0.5, -0.2, -0.2]);
    q.design.check(1.0).unwrap();
    for (text, part) in [
        (&["x"][..], "write points per turn"),
        (&["inf"], "write points per turn"),
        (&["nobody=1"], "there is no condition `nobody`"),
        (&["cp=1", "cp=2"], "given twice"),
    ] {
        let told = set(&mut q, text).unwrap_err();
        assert!(told.contains(part), "{told}");
    }
    let apart: Vec<Factors> =
        crossed_design().into_iter().chain([factors(&[("completion", "x"), ("tone", "y")])]).collect();
    let mut q =
        asked(&apart, &Comparison { reference: Some("complete".into()), ..comparison(&["completion"], true) }).unwrap();
    let told = drift(&mut q, &["cp", "cb", "ip", "ib", "lone"], &["lone=1".into()]).unwrap_err();
    assert!(told.contains("does not read the condition `lone`"), "{told}");
}
