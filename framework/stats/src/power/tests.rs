//! Power against independent numbers: the table of the study's protocol, and a simulation in numpy.
#![allow(clippy::unwrap_used)]
use super::{Cell, Curve, Design, LEAST, Measure, curve};

/// The friction study: four conditions, of which two pairs are compared, over all of 14 turns.
fn study(paired: bool) -> Design {
    Design { paired, ..Design::pairs(2, Measure::Slope, (1, 14)) }
}

/// Effect in points per turn, groups that the protocol's table names for a power of 0.8, and the power there of 20,000
/// studies by numpy: a Gaussian copula of latent correlation 0.72002; the sign-flip test over all patterns by subset sums,
/// or Student's pooled t.
const PAIRED: [(f64, usize, f64); 3] = [(0.5, 148, 0.7958), (1.0, 40, 0.81135), (2.0, 13, 0.83825)];
const UNPAIRED: [(f64, usize, f64); 3] = [(0.5, 290, 0.79475), (1.0, 70, 0.7919), (2.0, 16, 0.79995)];

fn at(c: &Curve, groups: usize) -> (f64, f64) {
    let p = c.points.iter().find(|p| p.groups == groups).unwrap();
    (p.power(), p.error())
}

/// The error of the table's numbers of groups, as a share of them: that of a simulation of 1,000 studies.
const TABLE: f64 = 0.03;

/// Compares the power at the table's groups with numpy's, and the smallest number of groups with the table's, of which one
/// group is rounding and the rest both simulations' errors.
fn reproduces(studies: usize) {
    for (paired, table) in [(true, PAIRED), (false, UNPAIRED)] {
        for (effect, groups, power) in table {
            let found = curve(&study(paired), effect, &[groups], 0.8, studies, 3).unwrap();
            let (got, error) = at(&found, groups);
            let both = error.hypot(0.0028);
            assert!((got - power).abs() < 4.0 * both, "{effect} with {groups}: {got} ± {error}, numpy {power}");
            let needed = found.needed.unwrap();
            let off = needed.groups.abs_diff(groups) as f64;
            let error = needed.error.hypot(TABLE * groups as f64);
            assert!(off <= 1.0 + 3.0 * error, "{effect}: {needed:?}, the table says {groups}");
            let closed = study(paired).groups(effect, 0.8).unwrap();
            // Of few groups its error is whole groups.
            let off = (closed - groups as f64).abs();
            assert!(off < (0.08 * groups as f64).max(1.5), "{effect}: {closed} by the closed form, not {groups}");
        }
    }
}

#[test]
fn the_protocols_table_comes_out() {
    reproduces(1000);
}

#[test]
#[ignore = "20,000 studies a number take a minute"]
fn the_protocols_table_comes_out_of_many_studies() {
    reproduces(20_000);
}

#[test]
fn without_an_effect_power_is_the_tests_size() {
    for d in [study(true), study(false), Design { samples: 2, ..Design::pairs(1, Measure::Mean, (1, 6)) }] {
        let found = curve(&d, 0.0, &[13, 40], 0.8, 3000, 1).unwrap();
        assert_eq!((found.needed, found.unreached(0.8)), (None, Some(40)));
        for p in &found.points {
            // A discrete test may have less than its size, never more.
            let (power, error) = (p.power(), p.error());
            assert!(power < 0.05 + 4.0 * error && power > 0.02, "{power} ± {error} with {} groups", p.groups);
        }
    }
}

#[test]
fn power_rises_with_groups_effect_samples_and_correlation() {
    let groups = [8, 16, 32, 64, 128];
    let power = |d: &Design, effect: f64| -> Vec<f64> {
        let found = curve(d, effect, &groups, 0.8, 600, 9).unwrap();
        groups.iter().map(|n| at(&found, *n).0).collect()
    };
    let of = |effect| power(&study(true), effect);
    for effect in [0.5, 1.0, 2.0] {
        assert!(of(effect).windows(2).all(|w| w[1] >= w[0]), "{:?}", of(effect));
    }
    assert!(of(0.5).iter().zip(of(1.0)).all(|(a, b)| b >= *a) && of(1.0)[2] > of(0.5)[2] + 0.1);
    let samples = Design { samples: 4, ..study(true) };
    assert!(power(&samples, 0.5)[2] > of(0.5)[2] + 0.1);
    let apart = Design { correlation: 0.0, ..study(true) };
    assert!(power(&apart, 0.5)[3] < of(0.5)[3] - 0.1);
    // A condition that drifts with its partner does not change the contrast, and drift that takes accuracy to 0.5 adds noise.
    let drifting = study(true).cells.iter().map(|c| Cell { drift: 1.4, ..*c }).collect();
    let drifting = Design { cells: drifting, ..study(true) };
    assert!((power(&drifting, 1.0)[2] - of(1.0)[2]).abs() < 0.15);
}

#[test]
fn equal_seeds_give_equal_results_on_any_number_of_threads() {
    let run = |seed| curve(&study(true), 1.0, &[20], 0.8, 300, seed).unwrap();
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| run(4)), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let plain = study(true);
    let mut cells = plain.cells.clone();
    cells[0].drift = 0.3;
    let mut falling = plain.clone();
    falling.cells.iter_mut().for_each(|c| c.drift = -9.0);
    for (design, effect, part) in [
        (Design { base: 1.2, ..plain.clone() }, 1.0, "the base accuracy is 1.2"),
        (Design { base: f64::NAN, ..plain.clone() }, 1.0, "the base accuracy is NaN"),
        (Design { correlation: 1.0, ..plain.clone() }, 1.0, "the correlation of outcomes is 1"),
        (Design { correlation: -0.1, ..plain.clone() }, 1.0, "from 0 to below 0.99"),
        (Design { sample_correlation: 0.4, ..plain.clone() }, 1.0, "it is from 0.5"),
        (plain.clone(), 3.0, "an effect of 3 points per turn from a base accuracy of 32 % gives -1.0 % at turn 12"),
        (Design { rises: true, ..plain.clone() }, 6.0, "at turn 13"),
        (plain.clone(), -1.0, "an effect is a number of points from 0"),
        (falling, 0.5, "a drift of -9 points per turn alone takes a base accuracy of 32 % to -4.0 % at turn 5"),
        (Design { cells, ..plain.clone() }, 1.0, "the drifts alone change the contrast by -0.3 points per turn"),
        (Design { turns: (14, 14), ..plain.clone() }, 1.0, "needs 2 or more"),
        (Design { turns: (0, 4), ..plain.clone() }, 1.0, "turns 0 to 4"),
        (Design { samples: 0, ..plain.clone() }, 1.0, "needs a sample"),
        (Design { cells: vec![], ..plain.clone() }, 1.0, "as many conditions"),
        (plain.clone(), 0.01, "more groups"),
    ] {
        let told = curve(&design, effect, &[20], 0.8, 100, 0).map(|_| ());
        let part = if part == "more groups" { "20000 are simulated: ask for larger effects" } else { part };
        let told = told.unwrap_err().to_string();
        assert!(told.contains(part), "{told}, not {part}");
    }
    for (groups, power, studies, part) in [
        (&[20][..], 0.03, 100, "the power is 0.03"),
        (&[20], 1.0, 100, "the power is 1"),
        (&[20], 0.8, 10, "10 simulated studies tell nothing"),
        (&[20], 0.9999, 100, "take a power up to 0.96"),
        (&[20], 0.9999, 100, "the power is 0.9999: 0.01 of 100 simulated studies"),
        (&[20], 0.8, 1_000_001, "1000001 simulated studies: at most 1000000"),
        (&[20], f64::NAN, 100, "the power is NaN"),
        (&[1], 0.8, 100, "1 groups"),
        (&[50_000], 0.8, 100, "50000 groups"),
    ] {
        let told = curve(&plain, 1.0, groups, power, studies, 0).unwrap_err().to_string();
        assert!(told.contains(part), "{told}, not {part}");
    }
}

#[test]
fn a_number_of_groups_lies_among_those_that_were_simulated() {
    for power in [0.5, 0.8, 0.95] {
        let found = curve(&study(true), 1.0, &[], power, 400, 2).unwrap();
        let (needed, most) = (found.needed.unwrap(), found.points.last().unwrap().groups);
        assert!(needed.groups <= most && found.unreached(power).is_none(), "{needed:?} of {most}");
    }
    // No closed form takes a power that no number of groups gives.
    for power in [0.0, 0.05, 1.0, 1.5, f64::NAN] {
        assert!(study(true).groups(1.0, power).is_err(), "{power}");
    }
}

#[test]
fn an_effect_that_few_groups_see_needs_the_least() {
    let large = Design { base: 0.95, ..Design::pairs(4, Measure::Mean, (1, 14)) };
    let found = curve(&large, 60.0, &[], 0.8, 100, 0).unwrap();
    assert_eq!(found.needed.map(|n| (n.groups, n.error)), Some((LEAST, 0.0)));
}
