//! What a misspelt word probably means.

/// The candidate that `word` is probably a misspelling of, if there is one.
///
/// A misspelling has a Damerau–Levenshtein distance of at most 1 in words of three to seven letters, of 2 in words of
/// eight to eleven, and of a quarter of the letters in longer words. In words of up to five letters, a replaced letter
/// makes a different word (`gpu` is not `cpu`). So does a change in a part of one or two letters (`top_k` is not
/// `top_p`, `reply:5` is not `reply:8`).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = candidates.into_iter().filter_map(|c| Some((slips(&word.to_lowercase(), &c.to_lowercase())?, c)));
    found.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// The distance of `word` from `meant`; `None` if they are different words.
fn slips(word: &str, meant: &str) -> Option<usize> {
    let (a, b) = (word.chars().count(), meant.chars().count());
    let most = match a.min(b) {
        0..=2 => 0,
        3..=7 => 1,
        8..=11 => 2,
        n => n / 4,
    };
    let d = strsim::damerau_levenshtein(word, meant);
    if d > most {
        return None;
    }
    let swapped = a == b && strsim::hamming(word, meant) == Ok(1);
    let parts = |s: &str| s.split(|c: char| !c.is_alphanumeric()).map(String::from).collect::<Vec<_>>();
    let (x, y) = (parts(word), parts(meant));
    let short = |(p, q): (&String, &String)| p != q && p.chars().count().max(q.chars().count()) <= 2;
    let other = x.len() == y.len() && x.iter().zip(&y).any(short);
    (!(other || swapped && a <= 5)).then_some(d)
}

/// Help for an unknown word: "did you mean …?" or a list of the candidates; `None` if there are no candidates.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    match nearest(word, candidates.clone()) {
        Some(n) => Some(format!("did you mean `{n}`?")),
        None => {
            let all: Vec<_> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
            (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_word_is_no_slip() {
        for (word, meant) in [
            ("fixd", "fixed"),
            ("lwa", "law"),
            ("group", "groups"),
            ("max_new_token", "max_new_tokens"),
            ("residul", "residual"),
            ("temprature", "temperature"),
            ("from_trun", "from_turn"),
            ("user_mean", "user-mean"),
        ] {
            assert_eq!(nearest(word, [meant, "nothing"]), Some(meant), "{word}");
        }
        for (word, other) in [
            ("top_k", "top_p"),
            ("min_p", "top_p"),
            ("gpu", "cpu"),
            ("q5", "q8"),
            ("reply:5", "reply:8"),
            ("resid_post.1", "resid_post.2"),
            ("tone", "turn"),
            ("seed", "read"),
        ] {
            assert_eq!(nearest(word, [other]), None, "{word}");
        }
        assert_eq!(
            suggestion("top_k", ["top_p", "temperature"]).as_deref(),
            Some("known here: `top_p`, `temperature`")
        );
    }
}
