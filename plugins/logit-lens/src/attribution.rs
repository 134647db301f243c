//! Direct logit attribution of a direction (Elhage et al. 2021): how adding it to the residual stream changes the
//! letters' logits along the path that skips all later blocks. The final norm's divisor is held at its mean over the
//! run, so that the change is linear in the direction.
use crate::{LogitLens, letters};
use friction_core::{Error, Findings, Item, Result, RunReader};
use friction_directions::Direction;
use friction_model::{Tokenizer, Unembedding};
use friction_stats::{Rng, permutation_p};
use rayon::prelude::*;
use serde_json::{Value, json};

/// Reports one direction's effect on each letter's logit, relative to the mean over letters, beside random directions
/// of its length.
#[allow(clippy::too_many_arguments)] // each is one thing that the sentence needs
pub fn tell(
    name: &str,
    direction: &Direction,
    rms: f64,
    o: &LogitLens,
    run: &dyn RunReader,
    u: &Unembedding,
    tokenizer: &Tokenizer,
    out: &mut Findings,
) -> Result<()> {
    let v = &direction.vector;
    if v.len() != u.hidden() {
        return Err(Error::other(format!(
            "`{name}` is {} wide; direct attribution needs a direction of the residual stream, {} wide",
            v.len(),
            u.hidden()
        )));
    }
    let most = run.turns().iter().map(|t| t.choices as usize).max().unwrap_or(0);
    let ids = letters(tokenizer, most)?;
    let push = |v: &[f32]| -> Vec<f64> {
        let raw: Vec<f64> = ids.iter().map(|id| u.logit(v, rms, *id)).collect();
        let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
        raw.iter().map(|r| r - mean).collect()
    };
    let spread = |p: &[f64]| (p.iter().map(|x| x * x).sum::<f64>() / p.len().max(1) as f64).sqrt();
    let own = push(v);
    let length = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let random: Vec<f64> = (0..o.random.unwrap_or(1000) as u64)
        .into_par_iter()
        .map(|i| {
            let mut rng = Rng::new(run.seed() ^ (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let r: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
            let norm = r.iter().map(|x| x * x).sum::<f64>().sqrt();
            spread(&push(&r.iter().map(|x| (x * length / norm) as f32).collect::<Vec<_>>()))
        })
        .collect();
    let p = permutation_p(spread(&own), &random);
    let words: Vec<String> = own.iter().enumerate().map(|(i, x)| format!("{} {x:+.3}", Item::letter(i))).collect();
    let mean = random.iter().sum::<f64>() / random.len().max(1) as f64;
    out.say(format!(
        "Asked: does `{name}` change the letters' logits directly? Changes minus their mean: {}; root mean square {:.3}; of {} random directions {mean:.3} on average; p = {p:.4}",
        words.join(", "),
        spread(&own),
        random.len()
    ));
    let found = json!({"direction": name, "push": own, "spread": spread(&own), "random_spread": mean, "p": p});
    match out.values.get_mut("attribution") {
        Some(Value::Array(all)) => all.push(found),
        _ => out.value("attribution", vec![found]),
    }
    Ok(())
}
