//! Baselines that a probe must beat: features that can be computed without looking inside the model.
use crate::rows::Row;
use friction_stats::Matrix;
use std::collections::BTreeMap;

/// Counts of the words of the message before the answer, `[rows, words]`, over the words that occur in at least three
/// rows. This drops the words of questions that are asked once, so that the wording remains.
pub fn bag_of_words(rows: &[Row]) -> Matrix {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(String::from).collect()
    };
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for r in rows {
        let mut seen = words(&r.turn.user);
        seen.sort();
        seen.dedup();
        seen.into_iter().for_each(|w| *spread.entry(w).or_default() += 1);
    }
    let mut known: Vec<(usize, String)> = spread.into_iter().filter(|(_, n)| *n >= 3).map(|(w, n)| (n, w)).collect();
    // The thousand most frequent words.
    known.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    known.truncate(1000);
    let index: BTreeMap<&str, usize> = known.iter().enumerate().map(|(i, (_, w))| (w.as_str(), i)).collect();
    let mut out = Matrix { data: vec![0.0; rows.len() * index.len()], cols: index.len() };
    for (i, r) in rows.iter().enumerate() {
        for w in words(&r.turn.user) {
            if let Some(k) = index.get(w.as_str()) {
                out.data[i * out.cols + k] += 1.0;
            }
        }
    }
    out
}

/// Lengths, `[rows, 4]`: number of the turn, tokens of the whole prompt, tokens that this turn added to it, characters
/// of the message.
pub fn lengths(rows: &[Row]) -> Matrix {
    let of = |r: &Row| {
        let t = &r.turn;
        [t.turn, t.prompt_tokens, t.prompt_tokens.saturating_sub(t.reused_tokens), t.user.chars().count() as u32]
    };
    Matrix { data: rows.iter().flat_map(of).map(f64::from).collect(), cols: 4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::TurnRow;
    #[test]
    fn rare_words_fall_out() {
        let row = |user: &str| Row { turn: TurnRow { user: user.into(), ..TurnRow::default() }, y: 0.0 };
        let rows = [row("nvm. Go, go once"), row("Nvm go"), row("NVM go twice"), row("please")];
        let m = bag_of_words(&rows);
        assert_eq!(m.cols, 2, "go and nvm");
        assert_eq!(m.row(0), [2.0, 1.0]);
        assert_eq!(m.row(3), [0.0, 0.0]);
    }
}
