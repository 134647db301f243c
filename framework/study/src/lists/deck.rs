//! The items of a category, drawn one after the other.
use friction_core::{Error, plural, seed};
use std::collections::HashMap;

/// A category's items, shuffled once for the study or in the dataset's order.
pub(super) struct Deck {
    pub order: Vec<u32>,
    /// For each item, a number that stands for its id.
    pub ids: Vec<u32>,
    /// For each item, a number that stands for its text.
    pub texts: Vec<u32>,
}

/// For each number of an id or a text, the group that asked it last. `group` is the current one, from 1.
pub(super) struct Asked {
    pub ids: Vec<u32>,
    pub texts: Vec<u32>,
    pub group: u32,
}

impl Deck {
    /// The next item, from `place` in the order on, whose id and text the group did not ask yet; `None` if there is none.
    /// `place` moves behind it.
    pub fn draw(&self, place: &mut u32, asked: &mut Asked) -> Option<u32> {
        let all = self.order.len() as u32;
        for _ in 0..=all {
            let q = *self.order.get(*place as usize)?;
            *place = (*place + 1) % all;
            let (id, text) = (self.ids[q as usize] as usize, self.texts[q as usize] as usize);
            if asked.ids[id] != asked.group && asked.texts[text] != asked.group {
                (asked.ids[id], asked.texts[text]) = (asked.group, asked.group);
                return Some(q);
            }
        }
        None
    }

    /// The error of a group that asks this category, one of `categories`, more often than it has items.
    pub fn few(&self, name: &str, times: usize, categories: usize) -> Error {
        let message = format!(
            "category `{name}` has too few items for a group that visits it again: no id and no text is asked twice in a group"
        );
        let other = if categories > 1 { "let `[topics]` ask more categories, " } else { "" };
        let all = plural(self.order.len(), "item");
        let help = format!(
            "it has {all}, of which those of one id or text count once, and a group asks it {}: lower `turns` or `items` of `[study]`, {other}or give it more items",
            plural(times, "time")
        );
        Error::config(message).help(help)
    }
}

/// The number that stands for a text: the same for equal texts, another for others. Hashes are held, not texts.
pub(super) fn number(known: &mut HashMap<u128, u32>, text: &[u8]) -> u32 {
    let next = known.len() as u32;
    let half = |salt: &[u8]| u128::from(seed::derive(&[salt, text]));
    *known.entry(half(b"a") << 64 | half(b"b")).or_insert(next)
}
