//! Choices that speak of other choices, such as "all of the above" or "both A and C". In another order they would say
//! something else.
mod phrases;

use crate::Item;
use phrases::{ABBREVIATION, EXCEPT, LETTERS, LONE, NAMED, NUMBERS, PLACE, RANGE, ROMANS, SINGLE_A, WHOLE, WORDS};
use regex::Captures;
use std::collections::BTreeSet;

/// What the choices of an item say of each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// Indices of the choices that speak of the others as a whole: "all of the above", "none of these", "neither". Such a
    /// choice stays at its place; the others may move.
    pub whole: Vec<usize>,
    /// Indices of the choices that speak of single ones, by letter, number or place: "both A and C", "same as option 2".
    /// No choice of the item may move.
    pub single: Vec<usize>,
    /// Whether the item says that the order of its choices carries meaning ([`Item::fixed_choices`]). None of them may move.
    pub fixed: bool,
}

impl Naming {
    /// Whether any choice speaks of another.
    pub fn any(&self) -> bool {
        !self.whole.is_empty() || !self.single.is_empty()
    }
    /// Indices of the choices that may move, of `n`, in order.
    pub fn free(&self, n: usize) -> Vec<usize> {
        let moves = |i: &usize| !self.fixed && self.single.is_empty() && !self.whole.contains(i);
        (0..n).filter(moves).collect()
    }
}

/// Finds the choices that speak of others. Labels that the item's own text carries ("I. …, II. …", "person A … person B")
/// name things of the question, and the choices that list them may move.
///
/// ```
/// use friction_core::{Item, choice::naming};
/// let of = |choices: &[&str]| Item { choices: choices.iter().map(|c| c.to_string()).collect(), ..Item::default() };
/// assert_eq!(naming(&of(&["red", "blue", "none of the above"])).free(3), [0, 1]);
/// assert_eq!(naming(&of(&["red", "blue", "A and B"])).free(3), [0; 0]);
/// ```
pub fn naming(item: &Item) -> Naming {
    let mut out = Naming { fixed: item.fixed_choices, ..Naming::default() };
    let texts: Vec<String> = item.choices.iter().map(|c| plain(c)).collect();
    let labels = Labels {
        n: item.choices.len(),
        own: own(&item.text),
        ranges: texts.iter().filter(|t| RANGE.is_match(t)).count(),
    };
    for (i, text) in texts.iter().enumerate() {
        if labels.single(text, item) {
            out.single.push(i);
        } else if WHOLE.is_match(text) {
            out.whole.push(i);
        }
    }
    out
}

/// A choice with single spaces and straight quotes, without punctuation at its ends.
fn plain(choice: &str) -> String {
    let text: String = choice.chars().map(|c| if matches!(c, '“' | '”' | '"') { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '*' | '\'') || c.is_whitespace()).to_string()
}

/// The words and labels of a question, in lower case. The article "a" is none of them, nor are letters of "e.g." and "25 °C".
fn own(text: &str) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = tokens(&ABBREVIATION.replace_all(text, " ")).collect();
    if !SINGLE_A.is_match(text) {
        out.remove("a");
    }
    out
}

/// Words and numbers, in lower case.
fn tokens(text: &str) -> impl DoubleEndedIterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_lowercase)
}

/// The index of the choice that a letter names, whatever its case.
fn place(letter: &str) -> usize {
    letter.chars().next().map_or(usize::MAX, |c| (c.to_ascii_lowercase() as usize).wrapping_sub('a' as usize))
}

/// What labels can name in an item.
struct Labels {
    /// Number of choices.
    n: usize,
    /// Words of the question: a label among them names something there.
    own: BTreeSet<String>,
    /// Number of choices such as "A-C". Where most are, they are bonds, routes or intervals.
    ranges: usize,
}

impl Labels {
    fn owned(&self, labels: &[String]) -> bool {
        labels.iter().all(|l| self.own.contains(l))
    }
    fn known(&self, letter: &str) -> bool {
        place(letter) < self.n
    }

    /// Whether a choice speaks of single other ones.
    fn single(&self, text: &str, item: &Item) -> bool {
        let listed = |found: &Captures, wanted: fn(&str) -> bool| -> Vec<String> {
            let list = found.get(1).or(found.get(2)).map_or("", |l| l.as_str());
            tokens(list).filter(|t| wanted(t)).collect()
        };
        let different = |labels: &[String]| labels.iter().collect::<BTreeSet<_>>().len() > 1;
        if let Some(found) = LETTERS.captures(text) {
            let labels = listed(&found, |t| t.len() == 1 && t.as_bytes()[0].is_ascii_alphabetic());
            return different(&labels) && labels.iter().all(|l| self.known(l)) && !self.owned(&labels);
        }
        if EXCEPT.is_match(text) {
            return tokens(text).next_back().is_some_and(|l| self.known(&l));
        }
        if let Some(found) = ROMANS.captures(text) {
            let labels = listed(&found, |t| roman(t).is_some());
            return labels.iter().all(|l| roman(l).is_some_and(|v| v <= self.n)) && !self.owned(&labels);
        }
        if let Some(found) = NUMBERS.captures(text) {
            let labels = listed(&found, |t| t.parse::<usize>().is_ok());
            let known = |l: &String| l.parse::<usize>().is_ok_and(|d| (1..=self.n).contains(&d));
            return different(&labels) && labels.iter().all(known) && !self.owned(&labels);
        }
        if let Some(found) = LONE.captures(text) {
            let letters = found.iter().skip(1).flatten().flat_map(|l| tokens(l.as_str())).collect::<Vec<_>>();
            return letters.iter().all(|l| self.known(l)) && !self.owned(&letters);
        }
        if let Some(found) = RANGE.captures(text) {
            let ends: Vec<String> = found.iter().skip(1).flatten().map(|l| l.as_str().to_lowercase()).collect();
            let upwards = ends.is_sorted_by(|a, b| a < b);
            return upwards && ends.iter().all(|l| self.known(l)) && !self.owned(&ends) && 2 * self.ranges <= self.n;
        }
        let named = NAMED.captures_iter(text).any(|c| {
            let by_letter = c.get(1).or(c.get(2)).is_some_and(|l| self.known(l.as_str()));
            let by_number =
                c.get(3).and_then(|d| d.as_str().parse::<usize>().ok()).is_some_and(|d| (1..=self.n).contains(&d));
            // "Option A: …" in the question names something there.
            (by_letter || by_number) && !item.text.to_lowercase().contains(&c[0].to_lowercase())
        });
        named || PLACE.is_match(text) && text.split(' ').count() <= WORDS
    }
}

/// The value of a Roman numeral to ten.
fn roman(text: &str) -> Option<usize> {
    ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"].iter().position(|r| *r == text).map(|i| i + 1)
}

#[cfg(test)]
mod tests;
