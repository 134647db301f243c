//! The order in which a group shows the choices of its items: `dataset.options` and its fellow keys.
//!
//! An order is drawn for each group and place of an item. All conditions, arms and samples share it, because they share
//! the group's items. Where all choices of an item may move and one of them is right, that one gets a letter of a Latin
//! square (Fisher and Yates 1934), so that right answers are spread over the letters within a group and, over groups, at
//! each place. The other choices are shuffled over the other letters.
use crate::grading;
use crate::lists::PlannedItem;
use friction_core::choice::naming;
use friction_core::manifest::{OptionOrder, OptionsSection};
use friction_core::seed::{derive, permutation};
use friction_core::{Dataset, Error, Grader, Item, Result, Target, plural};
use std::collections::BTreeMap;

/// Most items whose prompts and grades are tried out in another order before a run.
const TRIED: usize = 64;

/// What the items of a dataset are to orders. Items without choices do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Items with choices.
    pub items: usize,
    /// Items of which some choices may move.
    pub moves: usize,
    /// Items of which a choice speaks of the others as a whole.
    pub whole: usize,
    /// Items of which a choice names single others.
    pub single: usize,
    /// Items whose choices stand in the messages of a script.
    pub scripted: usize,
    /// Items that say that the order of their choices carries meaning.
    pub fixed: usize,
    /// Most choices of an item that may move.
    pub most: usize,
}

impl Count {
    /// Counts an item. Returns whether a choice of it speaks of others.
    pub fn add(&mut self, item: &Item) -> bool {
        if item.choices.len() < 2 {
            return false;
        }
        self.items += 1;
        if !item.script.is_empty() {
            self.scripted += 1;
            return false;
        }
        if item.fixed_choices {
            self.fixed += 1;
            return false;
        }
        let named = naming(item);
        self.whole += usize::from(!named.whole.is_empty() && named.single.is_empty());
        self.single += usize::from(!named.single.is_empty());
        let free = named.free(item.choices.len()).len();
        self.moves += usize::from(free > 1);
        self.most = self.most.max(free);
        named.any()
    }

    /// Refuses keys that would do nothing with these items.
    ///
    /// # Errors
    /// If no choice may move.
    pub fn check(&self, section: &OptionsSection) -> Result<()> {
        let moved = match section.leaves_out() {
            true => self.items - self.scripted - self.fixed - self.whole - self.single,
            false => self.moves,
        };
        if section.option_shifts > self.most && moved > 0 && section.option_shifts > 1 {
            let (shifts, most) = (section.option_shifts, self.most);
            let what = format!(
                "`option_shifts = {shifts}` is more than there are: no item has more than {most} choices that move"
            );
            return Err(Error::at("option_shifts", what).help(format!("set `option_shifts = {most}`, or fewer")));
        }
        if !section.moves() || moved > 0 {
            return Ok(());
        }
        let key = if section.options == OptionOrder::AsGiven { "option_shifts" } else { "options" };
        let why = match self.items {
            0 => "the dataset has no items with choices",
            all if all == self.scripted => "all items with choices have a script, whose messages hold them",
            all if all == self.fixed => {
                "the dataset says of all its items that the order of the choices carries meaning (`fixed_choices`)"
            }
            _ if self.scripted + self.fixed == 0 => "in every item a choice speaks of others",
            _ => "every item has a script, a choice that speaks of others, or an order that carries meaning",
        };
        let help = "leave the key out, or give the items `options` that can stand in any order";
        Err(Error::at(key, format!("no choices can be moved: {why}")).help(help))
    }

    /// What a reader must know of the items: sentences without full stops.
    pub fn notes(&self, section: &OptionsSection) -> Vec<String> {
        let (mut out, all) = (vec![], plural(self.items, "item"));
        if !section.moves() {
            return out;
        }
        let named = self.whole + self.single;
        if named > 0 && section.leaves_out() {
            out.push(format!(
                "{named} of {all} with choices are left out: one of the choices speaks of others (`options_naming_others`)"
            ));
        } else if named > 0 {
            out.push(format!(
                "in {named} of {all} with choices one speaks of others: \"all of the above\" and the like stay at their place ({}), and where single ones are named no choice moves ({})",
                self.whole, self.single
            ));
        }
        if self.scripted > 0 {
            out.push(format!(
                "{} of {all} with choices have a script, and keep the order that its messages have",
                self.scripted
            ));
        }
        if self.fixed > 0 {
            out.push(format!(
                "{} of {all} with choices keep their order, which carries meaning (`fixed_choices`)",
                self.fixed
            ));
        }
        out
    }
}

/// The orders of a group's items, each as [`friction_core::TurnRow::choice_order`]; empty where the choices are shown as the
/// dataset has them.
pub(crate) fn orders(section: &OptionsSection, seed: u64, group: usize, items: &[Item]) -> Vec<Vec<u32>> {
    if section.options == OptionOrder::AsGiven {
        return vec![vec![]; items.len()];
    }
    // For each number of choices, how many items were dealt a letter.
    let mut dealt: BTreeMap<usize, usize> = BTreeMap::new();
    let order = |(place, item): (usize, &Item)| {
        let n = item.choices.len();
        let free = if item.script.is_empty() { naming(item).free(n) } else { vec![] };
        if free.len() < 2 {
            return vec![];
        }
        let parts = [seed, group as u64, place as u64].map(u64::to_le_bytes);
        let drawn = |what: &[u8]| derive(&[b"options", what, &parts[0], &parts[1], &parts[2]]);
        match item.right().filter(|_| free.len() == n) {
            None => {
                let mut out: Vec<u32> = (0..n as u32).collect();
                for (to, from) in free.iter().zip(permutation(free.len(), drawn(b"free"))) {
                    out[*to] = free[from] as u32;
                }
                out
            }
            Some(right) => {
                let at = dealt.entry(n).or_default();
                let letter = letter(seed, n, group, *at);
                *at += 1;
                let others: Vec<usize> = (0..n).filter(|i| *i != right).collect();
                let mut out: Vec<u32> =
                    permutation(n - 1, drawn(b"others")).into_iter().map(|i| others[i] as u32).collect();
                out.insert(letter, right as u32);
                out
            }
        }
    };
    items.iter().enumerate().map(order).collect()
}

/// The letter of the right choice of a group's item number `at`, among items of `n` choices. Each n groups and n items
/// make a Latin square: rows, columns and letters are shuffled, and each letter stands once in each row and column.
fn letter(seed: u64, n: usize, group: usize, at: usize) -> usize {
    let parts = [seed, n as u64, (group / n) as u64, (at / n) as u64].map(u64::to_le_bytes);
    let shuffled = |what: &[u8], i: usize| {
        permutation(n, derive(&[b"option letters", what, &parts[0], &parts[1], &parts[2], &parts[3]]))[i]
    };
    shuffled(b"letters", (shuffled(b"rows", group % n) + shuffled(b"columns", at % n)) % n)
}

/// The orders of the forks on which an item's choices are shifted, each relative to the item as it is shown. Steps are
/// even: with `shifts` as large as the number of choices that move, each stands at each of their places once. Empty if
/// there is nothing to shift, or the right choice cannot be.
pub(crate) fn shifts(item: &Item, shifts: usize) -> Vec<Vec<u32>> {
    let n = item.choices.len();
    let free = if item.script.is_empty() && shifts > 1 { naming(item).free(n) } else { vec![] };
    let right = matches!(item.target, Some(Target::Choice(right)) if free.contains(&right));
    if free.len() < 2 || !right {
        return vec![];
    }
    let (all, k) = (free.len(), shifts.min(free.len()));
    let shifted = |step: usize| {
        let mut out: Vec<u32> = (0..n as u32).collect();
        for (i, from) in free.iter().enumerate() {
            out[free[(i + step) % all]] = *from as u32;
        }
        out
    };
    (1..k).map(|j| shifted(j * all / k)).collect()
}

/// Refuses a dataset that writes or grades choices in an order of its own, whatever the item's.
///
/// # Errors
/// If a prompt does not change with the order, or the letter of the right choice is graded as wrong.
pub(crate) fn obeyed(dataset: &dyn Dataset, grader: Option<&Grader>, groups: &[Vec<PlannedItem>]) -> Result<()> {
    for planned in groups.iter().flatten().filter(|p| !p.order.is_empty()).take(TRIED) {
        let shown = &planned.item;
        let Some(given) = shown.reordered(&inverse(&planned.order)) else { continue };
        let wrong = |what: &str| {
            let what = format!("the dataset {what} in an order of its own: item `{}`", shown.id);
            Err(Error::at("options", what).help("leave the key out, or let the plugin go by the item that it is given"))
        };
        let written = shown.choices.iter().any(|c| planned.prompt.contains(c));
        if written && given.choices != shown.choices && dataset.prompt(&given)? == planned.prompt {
            return wrong("writes choices");
        }
        let right = |item: &Item| -> Result<bool> {
            let letter = item.target_letter().map(String::from).unwrap_or_default();
            Ok(grading::grade(dataset, grader, item, &letter)?.right() == Some(true))
        };
        if given.right() != shown.right() && right(&given)? && !right(shown)? {
            return wrong("grades choices");
        }
    }
    Ok(())
}

/// The order that undoes another.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut out = vec![0; order.len()];
    for (i, from) in order.iter().enumerate() {
        if let Some(place) = out.get_mut(*from as usize) {
            *place = i as u32;
        }
    }
    out
}

#[cfg(test)]
mod tests;
