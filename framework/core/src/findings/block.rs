//! A block: one thing that was found, with what a reader must know to judge it.
use super::{Estimate, Table};
use crate::json::base64;
use serde::{Deserialize, Serialize};

/// A figure. A run stores it as `<name>.svg` and `<name>.png`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// File name without its ending: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it shows, in one or a few sentences.
    pub caption: String,
    /// The figure as an SVG document.
    pub svg: String,
    /// The same figure as the bytes of a PNG file.
    #[serde(with = "base64")]
    pub png: Vec<u8>,
}

/// The result of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Says {
    /// The effect is there, in the expected direction, and at least as large as the smallest of interest.
    #[serde(rename = "reached")]
    Reached,
    /// The effect is smaller than the smallest of interest, or has the other direction.
    #[serde(rename = "not reached")]
    NotReached,
    /// The data are compatible with both.
    #[serde(rename = "cannot be told")]
    CannotBeTold,
}

impl std::fmt::Display for Says {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Says::Reached => "reached",
            Says::NotReached => "not reached",
            Says::CannotBeTold => "cannot be told",
        })
    }
}

/// Whether a claim that was named before the run holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Name of the level of evidence that the verdict gives, such as `Good` (association) or `Best` (intervention).
    pub level: String,
    /// What is claimed, in a few words: `steering along the direction changes the answers`.
    pub claim: String,
    /// Whether the claim holds.
    pub says: Says,
    /// The reasons: sentences without a full stop.
    #[serde(default)]
    pub evidence: Vec<String>,
}

impl Verdict {
    /// A verdict without reasons yet.
    pub fn new(level: impl Into<String>, claim: impl Into<String>, says: Says) -> Self {
        Self { level: level.into(), claim: claim.into(), says, evidence: vec![] }
    }
    /// Adds a reason.
    pub fn because(mut self, sentence: impl Into<String>) -> Self {
        self.evidence.push(sentence.into());
        self
    }
}

/// Whether something was named before the run or looked for after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Named before the run, as one question.
    Confirmatory,
    /// Looked for in the data: a hint for another study.
    Exploratory,
}

/// The word that every renderer writes.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Confirmatory => "confirmatory",
            Status::Exploratory => "exploratory",
        })
    }
}

/// A turn of the run, as a reader can look it up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnLink {
    /// Group index, from 0.
    pub group: u32,
    /// Name of the condition.
    pub condition: String,
    /// Name of the arm; empty for the untouched control.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arm: String,
    /// Index of the sample, from 0.
    #[serde(default, skip_serializing_if = "first")]
    pub sample: u32,
    /// Number of the turn, from 1.
    pub turn: u32,
}
fn first(n: &u32) -> bool {
    *n == 0
}

/// What a block says. In JSON it is a key of the block: `{"section": "Accuracy", "text": "…"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// A sentence, or a few that belong together.
    Text(String),
    /// A number that answers the question.
    Estimate(Estimate),
    /// Whether a claim holds.
    Verdict(Verdict),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
    /// A sentence that a reader must know before trusting the rest.
    Warning(String),
}

macro_rules! bodies {
    ($($of:ty => $variant:ident),*) => {$(
        impl From<$of> for Body {
            fn from(of: $of) -> Self {
                Body::$variant(of.into())
            }
        }
    )*};
}
bodies!(&str => Text, String => Text, Estimate => Estimate, Verdict => Verdict, Table => Table, Figure => Figure);

/// One thing that was found. Its setters change it in place and can be chained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Block {
    /// Heading that it stands under. Blocks of one section follow each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Number of independent units that it is computed from, counted in `of`. An estimate has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// What `n` counts, in the singular: `group`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// Unit of its numbers where one unit holds for all; estimates and columns have their own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// How it was computed, so that another could compute it: the statistic, the unit of resampling, the interval.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Where the method is published: authors, year, journal or DOI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub citation: String,
    /// Whether it was named before the run. `None`: that is no matter of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Turns that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<TurnLink>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

impl Block {
    /// A block of this body, and nothing else.
    pub fn new(body: impl Into<Body>) -> Self {
        Self {
            section: None,
            n: None,
            of: String::new(),
            unit: String::new(),
            method: String::new(),
            citation: String::new(),
            status: None,
            links: vec![],
            body: body.into(),
        }
    }
    /// Sets the number of independent units: `over(40, "group")`.
    pub fn over(&mut self, n: usize, of: impl Into<String>) -> &mut Self {
        (self.n, self.of) = (Some(n as u64), of.into());
        self
    }
    /// Sets the unit of its numbers.
    pub fn unit(&mut self, unit: impl Into<String>) -> &mut Self {
        self.unit = unit.into();
        self
    }
    /// Sets how it was computed: a phrase or a sentence without its full stop.
    pub fn method(&mut self, method: impl Into<String>) -> &mut Self {
        self.method = method.into();
        self
    }
    /// Sets where the method is published.
    pub fn citation(&mut self, citation: impl Into<String>) -> &mut Self {
        self.citation = citation.into();
        self
    }
    /// Says that it was named before the run.
    pub fn confirmatory(&mut self) -> &mut Self {
        self.status = Some(Status::Confirmatory);
        self
    }
    /// Says that it was looked for in the data.
    pub fn exploratory(&mut self) -> &mut Self {
        self.status = Some(Status::Exploratory);
        self
    }
    /// Adds turns that show it.
    pub fn links(&mut self, links: impl IntoIterator<Item = TurnLink>) -> &mut Self {
        self.links.extend(links);
        self
    }
    /// The same block with another body.
    pub(super) fn with(&self, body: Body) -> Self {
        let Self { section, of, unit, method, citation, links, .. } = self;
        let (section, of, unit) = (section.clone(), of.clone(), unit.clone());
        let (method, citation, links) = (method.clone(), citation.clone(), links.clone());
        Self { section, n: self.n, of, unit, method, citation, status: self.status, links, body }
    }
    /// The number of independent units and what it counts: its own, or its estimate's.
    pub fn counted(&self) -> Option<(u64, &str)> {
        match &self.body {
            Body::Estimate(e) if self.n.is_none() => Some((e.n?, &e.of)),
            _ => Some((self.n?, &self.of)),
        }
    }
}

/// A block as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    section: Option<String>,
    n: Option<u64>,
    #[serde(default)]
    of: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    citation: String,
    status: Option<Status>,
    #[serde(default)]
    links: Vec<TurnLink>,
    text: Option<String>,
    estimate: Option<Estimate>,
    verdict: Option<Verdict>,
    table: Option<Table>,
    figure: Option<Figure>,
    warning: Option<String>,
}

impl TryFrom<Raw> for Block {
    type Error = String;
    fn try_from(raw: Raw) -> Result<Self, String> {
        let bodies = [
            raw.text.map(Body::Text),
            raw.estimate.map(Body::Estimate),
            raw.verdict.map(Body::Verdict),
            raw.table.map(Body::Table),
            raw.figure.map(Body::Figure),
            raw.warning.map(Body::Warning),
        ];
        let mut bodies: Vec<Body> = bodies.into_iter().flatten().collect();
        let body =
            match (bodies.pop(), bodies.is_empty()) {
                (Some(body), true) => body,
                _ => return Err(
                    "a block must have exactly one of `text`, `estimate`, `verdict`, `table`, `figure` and `warning`"
                        .into(),
                ),
            };
        let Raw { section, n, of, unit, method, citation, status, links, .. } = raw;
        Ok(Self { section, n, of, unit, method, citation, status, links, body })
    }
}
