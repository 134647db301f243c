//! Two-level fractional factorials: which cells a defining relation keeps, and which effects it aliases.
use super::cells::Factor;
use crate::suggestion::suggestion;

/// A word of the defining relation: the product of some factors is +1 or −1 in every cell that is kept. Bit `i` stands for
/// the factor of index `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    factors: u64,
    minus: bool,
}

impl Word {
    fn has(self, factor: usize) -> bool {
        self.factors & (1 << factor) != 0
    }
    fn times(self, other: Self) -> Self {
        Self { factors: self.factors ^ other.factors, minus: self.minus ^ other.minus }
    }
}

/// The words of a defining relation, and all their products.
#[derive(Debug, Default)]
pub(super) struct Fraction {
    words: Vec<Word>,
    subgroup: Vec<Word>,
}

/// Most factors: words are sets of bits.
const MOST: usize = 64;

impl Fraction {
    /// Reads defining relations such as `I = A × B × C = -C × D × E`, and generators such as `D = A × B`.
    ///
    /// # Errors
    /// What is wrong with one of them, and what to do.
    pub(super) fn read(relations: &[String], factors: &[Factor]) -> Result<Self, (String, Option<String>)> {
        if factors.len() > MOST {
            return Err((format!("a fraction is of at most {MOST} factors"), None));
        }
        let mut out = Self::default();
        for relation in relations {
            let sides: Vec<Word> = relation
                .split('=')
                .map(|side| product(side, factors))
                .collect::<Result<_, (String, Option<String>)>>()?;
            let form = || {
                let help = "write `I = A × B × C`, or a generator `C = A × B`";
                (format!("{relation:?} is no defining relation"), Some(help.into()))
            };
            let Some((first, rest)) = sides.split_first().filter(|(_, rest)| !rest.is_empty()) else {
                return Err(form());
            };
            if first.factors != 0 && rest.len() > 1 {
                return Err(form());
            }
            for word in rest.iter().map(|side| first.times(*side)) {
                out.add(word, relation, factors)?;
            }
        }
        Ok(out)
    }

    fn add(&mut self, word: Word, relation: &str, factors: &[Factor]) -> Result<(), (String, Option<String>)> {
        let of = || names(word, factors);
        if let Some(f) = of().find(|f| f.levels.len() != 2) {
            let message = format!("{relation:?} is of two-level factors, but `{}` has {}", f.name, f.levels.len());
            return Err((
                message,
                Some("leave it out of the relation: it is crossed with the fraction in full".into()),
            ));
        }
        if word.factors.count_ones() < 2 {
            let message = match of().next() {
                Some(f) => format!("{relation:?} leaves one level of `{}` alone", f.name),
                None => format!("{relation:?} says nothing: both sides are equal"),
            };
            return Err((message, None));
        }
        if self.subgroup.iter().any(|w| w.factors == word.factors) {
            let message = format!("{relation:?} follows from the other words, or contradicts them");
            return Err((message, Some("leave it out: each word halves the number of conditions".into())));
        }
        let products: Vec<Word> = self.subgroup.iter().map(|w| w.times(word)).collect();
        self.subgroup.push(word);
        self.subgroup.extend(products);
        self.words.push(word);
        Ok(())
    }

    /// Whether a cell, given by the index of its level of each factor, is kept.
    pub(super) fn keeps(&self, cell: &[usize]) -> bool {
        self.words.iter().all(|w| {
            let low = cell.iter().enumerate().filter(|(i, level)| w.has(*i) && **level == 0).count();
            (low % 2 == 1) == w.minus
        })
    }

    /// What a reader must know: the defining relation with its resolution, and which effects cannot be told apart.
    pub(super) fn notes(&self, factors: &[Factor]) -> Vec<String> {
        let Some(shortest) = self.subgroup.iter().map(|w| w.factors.count_ones()).min() else { return vec![] };
        let all: Vec<String> = self.subgroup.iter().map(|w| written(*w, factors)).collect();
        let mut out = vec![format!(
            "the conditions are a fraction, 1 in {}, of resolution {}: I = {}",
            1u64 << self.words.len(),
            roman(shortest),
            all.join(" = ")
        )];
        let sets = self.aliases(factors);
        if !sets.is_empty() {
            let each = sets.iter().map(|set| set.iter().map(|w| written(*w, factors)).collect::<Vec<_>>().join(" = "));
            out.push(format!(
                "these effects are aliased, which means that the study cannot tell them apart, nor their products with the turn: {}",
                each.collect::<Vec<_>>().join("; ")
            ));
        }
        if shortest > 4 {
            out.push("no main effect and no interaction of two factors is aliased with another of these".into());
        }
        out
    }

    /// Sets of aliased effects in which a main effect or an interaction of two factors is, each with its aliases of the
    /// lowest orders: those of at most two factors, or of the fewest there are.
    fn aliases(&self, factors: &[Factor]) -> Vec<Vec<Word>> {
        let used = self.subgroup.iter().fold(0, |all, w| all | w.factors);
        let main: Vec<u64> = (0..factors.len()).map(|i| 1u64 << i).filter(|f| used & f != 0).collect();
        let pairs = main.iter().enumerate().flat_map(|(i, a)| main[i + 1..].iter().map(move |b| a | b));
        let mut seen: Vec<u64> = vec![];
        let mut out = vec![];
        for effect in main.iter().copied().chain(pairs) {
            if seen.contains(&effect) {
                continue;
            }
            let mut with: Vec<Word> =
                self.subgroup.iter().map(|w| w.times(Word { factors: effect, minus: false })).collect();
            with.sort_by_key(|w| (w.factors.count_ones(), w.factors));
            let least = with.first().map_or(0, |w| w.factors.count_ones());
            let shown: Vec<Word> = with.into_iter().filter(|w| w.factors.count_ones() <= least.max(2)).collect();
            seen.extend(shown.iter().map(|w| w.factors));
            // Two interactions of two factors each are told; those of more only where a main effect is among them.
            if least <= 2 || effect.count_ones() == 1 {
                out.push([vec![Word { factors: effect, minus: false }], shown].concat());
            }
        }
        out
    }
}

/// A product of factors: names joined by `×`, ` x ` or `*`, or letters without a sign between them; `I` is 1.
fn product(text: &str, factors: &[Factor]) -> Result<Word, (String, Option<String>)> {
    let text = text.trim();
    let (minus, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest.trim()),
        None => (false, text),
    };
    let index = |name: &str| factors.iter().position(|f| f.name == name);
    let mut out = Word { factors: 0, minus };
    if text == "I" && index("I").is_none() {
        return Ok(out);
    }
    for name in text.split(['×', '*']).flat_map(|part| part.split(" x ")).map(str::trim) {
        let letters: Option<Vec<usize>> = name.chars().map(|c| index(c.encode_utf8(&mut [0; 4]))).collect();
        let found = index(name).map(|i| vec![i]).or(letters.filter(|l| !l.is_empty()));
        let Some(found) = found else {
            let help = suggestion(name, factors.iter().map(|f| f.name.as_str()));
            return Err((format!("the fraction speaks of `{name}`, which is no factor"), help));
        };
        found.into_iter().for_each(|i| out.factors ^= 1 << i);
    }
    Ok(out)
}

/// The factors of a word.
fn names(w: Word, factors: &[Factor]) -> impl Iterator<Item = &Factor> {
    factors.iter().enumerate().filter(move |(i, _)| w.has(*i)).map(|(_, f)| f)
}

fn written(w: Word, factors: &[Factor]) -> String {
    let names: Vec<&str> = names(w, factors).map(|f| f.name.as_str()).collect();
    format!("{}{}", if w.minus { "-" } else { "" }, names.join(" × "))
}

/// A resolution as it is written: `III`, `IV`, `V`.
fn roman(n: u32) -> String {
    let ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"];
    let tens = ["", "X", "XX", "XXX", "XL", "L", "LX"];
    let (ten, one) = (n as usize / 10, n as usize % 10);
    format!("{}{}", tens.get(ten).unwrap_or(&""), ones.get(one).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn factors(names: &[&str]) -> Vec<Factor> {
        names.iter().map(|n| Factor::of(n, &["-", "+"])).collect()
    }

    fn read(relations: &[&str], names: &[&str]) -> Result<Fraction, (String, Option<String>)> {
        Fraction::read(&relations.iter().map(|r| r.to_string()).collect::<Vec<_>>(), &factors(names))
    }

    /// The kept cells of a full factorial as signs.
    fn cells(f: &Fraction, n: usize) -> Vec<String> {
        let all = (0..1usize << n).map(|c| (0..n).map(|i| c >> (n - 1 - i) & 1).collect::<Vec<_>>());
        all.filter(|c| f.keeps(c)).map(|c| c.iter().map(|l| if *l == 0 { '-' } else { '+' }).collect()).collect()
    }

    #[test]
    fn the_textbook_fractions_are_kept() {
        // Montgomery, Design and Analysis of Experiments, the two halves of 2³.
        let names = ["A", "B", "C"];
        assert_eq!(cells(&read(&["I = ABC"], &names).unwrap(), 3), ["--+", "-+-", "+--", "+++"]);
        assert_eq!(cells(&read(&["I = -ABC"], &names).unwrap(), 3), ["---", "-++", "+-+", "++-"]);
        assert_eq!(cells(&read(&["C = A × B"], &names).unwrap(), 3), ["--+", "-+-", "+--", "+++"]);
        // A 2⁵⁻² of resolution III: D = AB, E = AC.
        let five = ["A", "B", "C", "D", "E"];
        let f = read(&["I = A × B × D = A x C x E"], &five).unwrap();
        let want = ["---++", "--++-", "-+--+", "-++--", "+----", "+-+-+", "++-+-", "+++++"];
        assert_eq!(cells(&f, 5), want);
        assert_eq!(cells(&read(&["D = AB", "E = AC"], &five).unwrap(), 5), want);
    }

    #[test]
    fn aliases_are_those_of_the_textbook() {
        let names = ["A", "B", "C"];
        let notes = read(&["I = ABC"], &names).unwrap().notes(&factors(&names));
        assert_eq!(notes[0], "the conditions are a fraction, 1 in 2, of resolution III: I = A × B × C");
        assert!(notes[1].ends_with(": A = B × C; B = A × C; C = A × B"), "{notes:?}");
        let minus = read(&["I = -A × B × C"], &names).unwrap().notes(&factors(&names));
        assert!(minus[1].ends_with(": A = -B × C; B = -A × C; C = -A × B"), "{minus:?}");
        // Resolution IV: main effects are clear of interactions of two factors, which are aliased in pairs.
        let four = ["A", "B", "C", "D"];
        let notes = read(&["D = ABC"], &four).unwrap().notes(&factors(&four));
        let want =
            ": A = B × C × D; B = A × C × D; C = A × B × D; D = A × B × C; A × B = C × D; A × C = B × D; A × D = B × C";
        assert!(notes[0].contains("resolution IV") && notes[1].ends_with(want), "{notes:?}");
        // The 2⁵⁻² above: the defining contrast subgroup has their product too.
        let five = ["A", "B", "C", "D", "E"];
        let notes = read(&["D = AB", "E = AC"], &five).unwrap().notes(&factors(&five));
        assert!(
            notes[0].ends_with("1 in 4, of resolution III: I = A × B × D = A × C × E = B × C × D × E"),
            "{notes:?}"
        );
        assert!(notes[1].contains(": A = B × D = C × E; B = A × D; C = A × E; D = A × B; E = A × C; "), "{notes:?}");
        assert!(notes[1].ends_with("B × C = D × E; B × E = C × D"), "{notes:?}");
    }

    #[test]
    fn what_is_no_fraction_is_refused() {
        let names = ["A", "B", "tone"];
        for (relations, told) in [
            (&["I"][..], "is no defining relation"),
            (&["A = B = tone"], "is no defining relation"),
            (&["I = A × tune"], "speaks of `tune`, which is no factor"),
            (&["I = A"], "leaves one level of `A` alone"),
            (&["A = A"], "says nothing"),
            (&["I = AB", "I = -AB"], "follows from the other words, or contradicts them"),
            (&["I = A × B = B × tone = A × tone"], "follows from"),
        ] {
            let (message, _) = read(relations, &names).unwrap_err();
            assert!(message.contains(told), "{relations:?}: {message}");
        }
        let three = [Factor::of("A", &["1", "2", "3"]), Factor::of("B", &["1", "2"])];
        let (message, _) = Fraction::read(&["I = AB".into()], &three).unwrap_err();
        assert!(message.contains("is of two-level factors, but `A` has 3"), "{message}");
    }
}
