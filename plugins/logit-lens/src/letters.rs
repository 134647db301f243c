//! The letters that name an item's choices, as tokens.
use friction_checkpoint::Tokenizer;
use friction_core::{Error, Result};

/// Token ids of the letters A, B, … of `count` options.
///
/// # Errors
/// When a letter is not one token.
pub fn letters(tokenizer: &Tokenizer, count: usize) -> Result<Vec<u32>> {
    (0..count)
        .map(|i| {
            let letter = friction_core::Item::letter(i).to_string();
            tokenizer.id(&letter).ok_or_else(|| Error::other(format!("`{letter}` is not one token of this model")))
        })
        .collect()
}
