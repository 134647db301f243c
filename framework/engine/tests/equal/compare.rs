//! Outcomes that are the same, up to rounding or bit for bit.
use burn::tensor::Device;
use friction_engine::TurnOutcome;
use friction_model::testing;

fn close(a: f32, b: f32) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-4 * (1.0 + a.abs().max(b.abs()))
}

/// Same tokens; activations equal up to rounding.
pub fn same(a: &[Vec<TurnOutcome>], b: &[Vec<TurnOutcome>]) {
    let counts = |all: &[Vec<TurnOutcome>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(counts(a), counts(b));
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        assert_eq!((&x.ids, x.finish, x.prompt_tokens), (&y.ids, y.finish, y.prompt_tokens));
        let lengths = |o: &TurnOutcome| (o.taps.len(), o.choices.len(), o.forced.len());
        assert_eq!(lengths(x), lengths(y));
        for (s, t) in x.taps.iter().zip(&y.taps) {
            assert_eq!(s.rows.len(), t.rows.len());
            for (p, q) in s.rows.iter().flatten().zip(t.rows.iter().flatten()) {
                assert!(close(*p, *q), "{:?}: {p} {q}", s.tap);
            }
        }
        for (p, q) in x.choices.iter().chain(&x.forced).zip(y.choices.iter().chain(&y.forced)) {
            assert!(close(*p, *q), "log-probabilities: {p} {q}");
        }
    }
}

/// Bit for bit, NaN included. On a GPU, where reductions are tuned by shape, up to rounding.
pub fn identical(a: &[Vec<TurnOutcome>], b: &[Vec<TurnOutcome>]) {
    let bits = |all: &[Vec<TurnOutcome>]| -> Vec<u32> {
        all.iter()
            .flatten()
            .flat_map(|o| {
                o.taps
                    .iter()
                    .flat_map(|t| t.rows.iter().flatten())
                    .chain(&o.choices)
                    .chain(&o.forced)
                    .map(|x| x.to_bits())
            })
            .collect()
    };
    same(a, b);
    let (a, b) = (bits(a), bits(b));
    let differ = a.iter().zip(&b).filter(|(x, y)| x != y).count();
    if testing::device().unwrap() != Device::flex() {
        println!("{differ} of {} values differ in bits", a.len());
        return;
    }
    assert_eq!((a.len(), differ), (b.len(), 0), "values that differ in bits");
}
