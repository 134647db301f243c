//! Choices of the real sample that speak of others, as a person reads them.
use super::sample;
use friction_core::Item;
use friction_core::choice::naming;
use std::collections::BTreeMap;

/// Question ids, and the letters of choices such as "all of the above". 4968 is "all", the last word of the pledge, which
/// cannot be told from it.
const WHOLE: [(&str, &str); 28] = [
    ("4647", "J"),
    ("4681", "I"),
    ("4831", "C"),
    ("4968", "B"),
    ("9230", "AH"),
    ("9538", "GH"),
    ("9747", "A"),
    ("9973", "B"),
    ("10129", "CD"),
    ("10185", "C"),
    ("10212", "DF"),
    ("10304", "E"),
    ("10390", "EG"),
    ("10411", "J"),
    ("10414", "BC"),
    ("10448", "EI"),
    ("10576", "A"),
    ("10743", "H"),
    ("10777", "F"),
    ("10808", "F"),
    ("10822", "F"),
    ("10824", "B"),
    ("10828", "D"),
    ("10852", "G"),
    ("10867", "B"),
    ("10893", "I"),
    ("11007", "G"),
    ("11030", "C"),
];

/// The one question with choices such as "both a and b".
const SINGLE: (&str, &str) = ("4768", "AGI");

#[test]
fn choices_of_the_real_sample_that_speak_of_others() {
    let Some(bank) = sample() else { return };
    let letters = |of: &[usize]| of.iter().map(|i| Item::letter(*i)).collect::<String>();
    let (mut whole, mut single) = (BTreeMap::new(), BTreeMap::new());
    for item in bank.items.values().flatten() {
        let id = item.id.rsplit('_').next().unwrap_or_default().to_string();
        let found = naming(item);
        if !found.whole.is_empty() {
            whole.insert(id.clone(), letters(&found.whole));
        }
        if !found.single.is_empty() {
            single.insert(id, letters(&found.single));
        }
    }
    let own = |(id, letters): &(&str, &str)| (id.to_string(), letters.to_string());
    assert_eq!(whole, WHOLE.iter().map(own).collect::<BTreeMap<_, _>>());
    assert_eq!(single, BTreeMap::from([own(&SINGLE)]));
}
