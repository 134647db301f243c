//! Baselines that a probe must beat: features that can be computed without looking inside the model.
use crate::rows::Row;
use friction_core::{ConversationId, TurnRow};
use friction_stats::Matrix;
use std::collections::BTreeMap;

/// Words in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(String::from).collect()
}

/// Counts of the words of the message before the answer, `[rows, words]`, over the words that occur in at least three
/// rows. This drops the words of questions that are asked once, so that the wording remains.
pub fn bag_of_words(rows: &[Row]) -> Matrix {
    counts(&rows.iter().map(|r| words(&r.turn.user)).collect::<Vec<_>>())
}

/// As [`bag_of_words`], of all that stands before the answer: the messages, what the history keeps of the replies, and the
/// signs with which each of these ends, such as `...`. `turns` are all of the run.
pub fn bag_of_context(turns: &[TurnRow], rows: &[Row]) -> Matrix {
    let mut by: BTreeMap<ConversationId, Vec<&TurnRow>> = BTreeMap::new();
    for t in turns {
        by.entry(t.conversation()).or_default().push(t);
    }
    let of = |r: &Row| {
        let mut out = words(&r.turn.user);
        for t in by.get(&r.turn.conversation()).into_iter().flatten().filter(|t| t.turn < r.turn.turn) {
            out.extend(words(&t.user));
            out.extend(words(&t.kept));
            let text = t.kept.trim_end_matches(|c: char| !c.is_alphanumeric());
            out.push(format!("ends in {}", t.kept[text.len()..].trim()));
        }
        out
    };
    counts(&rows.iter().map(of).collect::<Vec<_>>())
}

/// Counts of the thousand most frequent words among those that occur in at least three texts.
fn counts(texts: &[Vec<String>]) -> Matrix {
    let mut spread: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        let mut seen: Vec<&str> = text.iter().map(String::as_str).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().for_each(|w| *spread.entry(w).or_default() += 1);
    }
    let mut known: Vec<(usize, &str)> = spread.into_iter().filter(|(_, n)| *n >= 3).map(|(w, n)| (n, w)).collect();
    known.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    known.truncate(1000);
    let index: BTreeMap<&str, usize> = known.iter().enumerate().map(|(i, (_, w))| (*w, i)).collect();
    let mut out = Matrix { data: vec![0.0; texts.len() * index.len()], cols: index.len() };
    for (i, text) in texts.iter().enumerate() {
        for w in text {
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

    #[test]
    fn rare_words_fall_out() {
        let row = |user: &str| Row { turn: TurnRow { user: user.into(), ..TurnRow::default() }, y: 0.0 };
        let rows = [row("nvm. Go, go once"), row("Nvm go"), row("NVM go twice"), row("please")];
        let m = bag_of_words(&rows);
        assert_eq!(m.cols, 2, "go and nvm");
        assert_eq!(m.row(0), [2.0, 1.0]);
        assert_eq!(m.row(3), [0.0, 0.0]);
    }

    #[test]
    fn the_context_is_what_the_history_keeps_and_how_it_ends() {
        let turn = |group, turn, user: &str, kept: &str| TurnRow {
            group,
            turn,
            user: user.into(),
            kept: kept.into(),
            ..TurnRow::default()
        };
        let mut turns = vec![];
        for group in 0..6 {
            let kept = if group < 3 { "Bread rises..." } else { "Bread rises slowly." };
            turns.push(turn(group, 1, "How?", kept));
            turns.push(turn(group, 2, "And then?", "It is baked."));
        }
        let rows: Vec<Row> = turns.iter().filter(|t| t.turn == 2).map(|t| Row { turn: t.clone(), y: 0.0 }).collect();
        let m = bag_of_context(&turns, &rows);
        // and, bread, how, rises, then; "ends in ...", "ends in ." and slowly stand in three rows each. The coming reply
        // does not count.
        assert_eq!(m.cols, 8);
        assert_eq!(m.row(0), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(m.row(3), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
    }
}
