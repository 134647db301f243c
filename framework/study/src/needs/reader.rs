//! Who reads what a study produces: an analyzer, or the primary contrast.
use friction_core::manifest::{Chosen, Manifest, Path, PrimarySection};
use friction_core::{Analyzer, Factors};

/// An analyzer, or the table `[primary]`.
#[derive(Clone, Copy)]
pub(crate) enum Reader<'a> {
    /// An analyzer, with its table.
    Analyzer(&'a Chosen<dyn Analyzer>),
    /// The primary contrast, with the table as it was given.
    Primary(&'a PrimarySection, Option<&'a toml::Table>),
}

impl<'a> Reader<'a> {
    /// The primary contrast of a study, if it names one.
    pub fn primary(m: &'a Manifest) -> Option<Self> {
        let table = m.source.value.get("primary").and_then(toml::Value::as_table);
        m.primary.as_ref().map(|primary| Self::Primary(primary, table))
    }

    /// What messages call it.
    pub fn who(&self) -> &'static str {
        match self {
            Self::Analyzer(_) => "this analyzer",
            Self::Primary(..) => "the primary contrast",
        }
    }

    /// The path of its table.
    pub fn path(&self) -> Path {
        match self {
            Self::Analyzer(a) => a.path.clone(),
            Self::Primary(..) => Path::default().key("primary"),
        }
    }

    /// Whether its table sets an option.
    pub fn sets(&self, key: &str) -> bool {
        match self {
            Self::Analyzer(a) => a.table.contains_key(key),
            Self::Primary(_, table) => table.is_some_and(|t| t.contains_key(key)),
        }
    }

    /// The path of an option; the table if the option is not set.
    pub fn option(&self, key: &str) -> Path {
        if self.sets(key) { self.path().below(key) } else { self.path() }
    }

    /// The path at which its table speaks of something.
    pub fn speaks_of(&self, word: &str) -> Path {
        match self {
            Self::Analyzer(a) => a.speaks_of(word),
            Self::Primary(p, _) if p.contrast.factors().iter().any(|f| f == word) => self.path().key("contrast"),
            Self::Primary(..) => self.path(),
        }
    }

    /// Whether a condition is among those that are compared.
    pub fn compares(&self, factors: &Factors) -> bool {
        match self {
            Self::Analyzer(_) => true,
            Self::Primary(p, _) => p.levels.iter().all(|(f, all)| factors.get(f).is_none_or(|l| all.contains(l))),
        }
    }

    /// Whether a condition without a partner is a fault, and not only left out.
    pub fn is_strict(&self) -> bool {
        matches!(self, Self::Primary(..))
    }
}
