//! Direct logit attribution of a direction (Elhage et al. 2021): how adding it to the residual stream changes the
//! letters' logits along the path that skips all later blocks. The final norm's divisor is held at its mean over the
//! run, so that the change is linear in the direction.
use crate::letters::letters;
use crate::options::LogitLens;
use friction_checkpoint::Tokenizer;
use friction_core::{Column, Error, Findings, Item, Result, RunReader, Table};
use friction_directions::Direction;
use friction_model::Unembedding;
use friction_stats::{Rng, cite, permutation_p};
use rayon::prelude::*;
use serde_json::{Value, json};

/// One direction's effect on the letters' logits, beside random directions of its length.
pub struct Push {
    direction: String,
    /// Change of each letter's logit, minus the mean over letters.
    letters: Vec<f64>,
    /// Root mean square of `letters`.
    spread: f64,
    /// Number of random directions, and the mean of their spreads.
    random: (usize, f64),
    /// p-value of `spread` among them.
    p: f64,
}

/// Computes a direction's effect on each letter's logit.
///
/// # Errors
/// If it is no direction of the residual stream, or a letter is not one token.
pub fn push(
    name: &str,
    direction: &Direction,
    rms: f64,
    o: &LogitLens,
    run: &dyn RunReader,
    u: &Unembedding,
    tokenizer: &Tokenizer,
) -> Result<Push> {
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
    let random: Vec<f64> = (0..o.random() as u64)
        .into_par_iter()
        .map(|i| {
            let mut rng = Rng::new(run.seed() ^ (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let r: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
            let norm = r.iter().map(|x| x * x).sum::<f64>().sqrt();
            spread(&push(&r.iter().map(|x| (x * length / norm) as f32).collect::<Vec<_>>()))
        })
        .collect();
    let p = permutation_p(spread(&own), &random);
    let mean = random.iter().sum::<f64>() / random.len().max(1) as f64;
    Ok(Push { direction: name.into(), spread: spread(&own), letters: own, random: (random.len(), mean), p })
}

/// Reports the directions' effects as a table.
pub fn tell(all: &[Push], out: &mut Findings) {
    out.section("Direct attribution");
    let number = |name: &str, f: &dyn Fn(&Push) -> f64| Column::number(name, all.iter().map(f));
    let mut table = Table::new(
        "attribution",
        "What each direction pushes the letters' logits by, itself and not through later blocks; changes minus their mean over letters",
    )
    .column(Column::text("direction", all.iter().map(|p| p.direction.as_str())));
    for i in 0..all.iter().map(|p| p.letters.len()).max().unwrap_or(0) {
        let letter = Item::letter(i).to_string();
        table = table.column(number(&letter, &|p| p.letters.get(i).copied().unwrap_or(f64::NAN)));
    }
    let table = table
        .column(number("spread", &|p| p.spread).title("root mean square"))
        .column(number("random_spread", &|p| p.random.1).title("mean of random"))
        .column(number("p", &|p| p.p).digits(4));
    let random = all.first().map_or(0, |p| p.random.0);
    out.table(table)
        .unit("logits")
        .method(format!("direct logit attribution, the final norm's divisor held at its mean over the run; p: rank of the root mean square among {random} random directions of the same length"))
        .citation(format!("Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; {}", cite::PERMUTATION));
    let values = all.iter().map(|p| {
        json!({"direction": p.direction, "push": p.letters, "spread": p.spread, "random_spread": p.random.1, "p": p.p})
    });
    out.value("attribution", values.collect::<Vec<Value>>());
}
