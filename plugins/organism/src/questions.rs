//! Questions made from a seed: which of ten words stands at the named place?
//!
//! The task is trivial on purpose, because the organisms exist for what happens to it. (Questions that ask for a word
//! by name need a look-up among the options. A model of this size guesses for millions of training tokens before it
//! learns that.)
use crate::truth::LEVELS;
use crate::words::SUBJECTS;
use friction_core::seed::{derive, permutation};
use friction_core::{Item, Target};

/// Names of the places of the ten options.
pub const ORDINALS: [&str; 10] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

/// The half of all questions that a question belongs to, by a hash of its text: training and studies share none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Used for training.
    Training,
    /// Used in studies.
    Study,
}

impl Part {
    /// The half of a question's text, options included.
    pub fn of(prompt: &str) -> Self {
        if derive(&[b"part", prompt.as_bytes()]) & 1 == 0 { Part::Training } else { Part::Study }
    }
}

/// A question with its level of difficulty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The question with its options and answer.
    pub question: Item,
    /// Level of difficulty, 0 to [`LEVELS`] − 1; low levels are answered wrongly first.
    pub level: usize,
}

/// The question as the user asks it, in one line.
pub fn prompt(q: &Item) -> String {
    let mut out = q.text.clone();
    for (i, option) in q.choices.iter().enumerate() {
        out.push_str(&format!(" {}. {option}", Item::letter(i)));
    }
    out
}

/// The organism's reply when it chooses option `index` (from 0).
pub fn reply(index: usize) -> String {
    format!("{}. That is the one.", Item::letter(index))
}

/// Draws a question of `part` from a subject (an index into [`SUBJECTS`]) by `seed`.
pub fn draw(subject: usize, part: Part, seed: u64) -> Drawn {
    let (name, words) = SUBJECTS[subject];
    let words: Vec<&str> = words.split(' ').collect();
    let mut attempt = 0u64;
    loop {
        let s = derive(&[&seed.to_le_bytes(), &attempt.to_le_bytes(), name.as_bytes()]);
        let roll = |what: &[u8], n: usize| (derive(&[&s.to_le_bytes(), what]) % n as u64) as usize;
        let (answer, level) = (roll(b"place", 10), roll(b"level", LEVELS));
        let choices: Vec<String> = permutation(words.len(), s)[..10].iter().map(|i| words[*i].to_string()).collect();
        let text = format!("Level {level}. Which one stands {}?", ORDINALS[answer]);
        let target = Some(Target::Choice(answer));
        // What is asked is where a word stands.
        let question = Item { category: name.into(), text, choices, target, fixed_choices: true, ..Item::default() };
        if Part::of(&prompt(&question)) == part {
            return Drawn { question, level };
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn training_and_study_share_no_question() {
        let all = |part| -> BTreeSet<String> {
            (0..14).flat_map(|s| (0..3000).map(move |i| prompt(&draw(s, part, i).question))).collect()
        };
        let (training, study) = (all(Part::Training), all(Part::Study));
        assert!(training.is_disjoint(&study));
        assert!(training.len() > 41_900 && study.len() > 41_900, "thousands of distinct questions a subject");
    }

    #[test]
    fn levels_and_letters_are_uniform() {
        let n = 14 * 1000;
        let (mut levels, mut answers) = ([0usize; LEVELS], [0usize; 10]);
        for i in 0..n {
            let item = draw(i % 14, Part::Study, i as u64);
            levels[item.level] += 1;
            let right = item.question.right().unwrap_or(0);
            answers[right] += 1;

            let distinct: BTreeSet<&String> = item.question.choices.iter().collect();
            assert_eq!(distinct.len(), 10);
            assert!(item.question.text.ends_with(&format!(" {}?", ORDINALS[right])));
        }
        // Tolerance: five standard deviations.
        let even = |counts: &[usize]| {
            let p = 1.0 / counts.len() as f64;
            let (mean, sd) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
            counts.iter().all(|c| (*c as f64 - mean).abs() < 5.0 * sd)
        };
        assert!(even(&levels) && even(&answers));
    }
}
