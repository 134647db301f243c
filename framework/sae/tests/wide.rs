//! Many features with integer weights: every sum is exact, so active features are equal on every device, including
//! ties and rows in which nearly all features are active. `FRICTION_TEST_BACKEND` names the device.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_model::testing::backend;
use friction_sae::{Activation, Active, Parameters, Sae};
use friction_stats::Rng;

const D: usize = 16;
const N: usize = 3000;
const ROWS: usize = 40;

fn whole(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| (rng.unit() * 7.0).floor() as f32 - 3.0).collect()
}

/// Reference: a row's active features by the definition.
fn plain(p: &Parameters, w: &[f32], x: &[f32]) -> Vec<Active> {
    let pre = |j: usize| (0..D).map(|i| x[i] * w[i * N + j]).sum::<f32>() + p.b_enc[j];
    let mut on: Vec<Active> = (0..N).map(|j| Active { index: j as u32, value: pre(j) }).collect();
    on.retain(|a| {
        let least = match &p.activation {
            Activation::JumpRelu(t) => t[a.index as usize].max(0.0),
            _ => 0.0,
        };
        a.value > least
    });
    if let Activation::TopK(k) = p.activation {
        // The sort is stable: the lowest indices among equals remain.
        on.sort_by(|a, b| b.value.total_cmp(&a.value));
        on.truncate(k);
        on.sort_by_key(|a| a.index);
    }
    on
}

fn name(p: &Parameters) -> String {
    match &p.activation {
        Activation::JumpRelu(t) => format!("JumpReLU from {}", t[0]),
        other => format!("{other:?}"),
    }
}

/// Compares, and reports only the first difference.
fn same(got: &[Vec<Active>], expected: &[Vec<Active>], what: &str) {
    let wrong = (0..expected.len()).filter(|r| got[*r] != expected[*r]).collect::<Vec<_>>();
    let Some(r) = wrong.first() else { return };
    let (g, e) = (&got[*r], &expected[*r]);
    let at = (0..g.len().max(e.len())).find(|i| g.get(*i) != e.get(*i)).unwrap();
    let around = |v: &[Active]| format!("{:?}", &v[at.min(v.len())..(at + 3).min(v.len())]);
    panic!(
        "{what}: {} of {} rows differ; row {r} has {} on instead of {}, from place {at}: {} instead of {}",
        wrong.len(),
        expected.len(),
        g.len(),
        e.len(),
        around(g),
        around(e)
    );
}

#[test]
fn what_fires_is_equal_to_the_definition_on_every_device() {
    let mut rng = Rng::new(5);
    let (w, b, x) = (whole(&mut rng, D * N), whole(&mut rng, N), whole(&mut rng, ROWS * D));
    let high: Vec<f32> = whole(&mut rng, N).iter().map(|v| v + 30.0).collect();
    let mut most = 0;
    for activation in [
        Activation::Relu,
        Activation::JumpRelu(high),
        Activation::JumpRelu(vec![-1.0; N]),
        Activation::TopK(1),
        Activation::TopK(32),
        Activation::TopK(700),
    ] {
        let p = Parameters {
            w_enc: w.clone().into(),
            b_enc: b.clone(),
            w_dec: vec![0.0; N * D].into(),
            b_dec: vec![0.0; D],
            skip: None,
            activation,
            centred: false,
            normalize: Default::default(),
        };
        let expected: Vec<_> = x.chunks(D).map(|row| plain(&p, &w, row)).collect();
        most = most.max(expected.iter().map(Vec::len).max().unwrap());
        for (panel, resident) in [(N, usize::MAX), (1024, usize::MAX), (700, 0)] {
            let sae = Sae::with(p.clone(), backend().unwrap(), 0, panel, resident).unwrap();
            same(&sae.encode(&x), &expected, &format!("{}, panels of {panel}", name(&p)));
        }
        let sae = Sae::new(p.clone(), backend().unwrap(), 0).unwrap();
        assert!(sae.encode(&[]).is_empty());
        same(&sae.encode(&[0.0; D]), &[plain(&p, &w, &[0.0; D])], &format!("{}, zeros", name(&p)));
    }
    assert!(most > 1024, "no row had more on than leaves a device at once: {most}");
}
