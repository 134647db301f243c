//! `embedding-distance`: the categories that lie far apart, by sentence embeddings.
use crate::balanced;
use crate::bert::SentenceModel;
use crate::farthest::{Chosen, Pairs, Points};
use crate::order::{Order, comes_to_all, find};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Category, Dataset, Error, Item, PlanContext, PluginConfig, PluginEntry, Result, TopicPlan, Topics,
    plural, seed,
};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Chooses the categories that lie farthest apart, by sentence embeddings of their names or of their items, and gives each
/// turn one of them. All conditions of a group have the same order.
///
/// It begins at one category and adds the one whose smallest cosine distance to those chosen is largest (greedy farthest
/// points), until there are enough or the next one is closer than `min_distance`. Too few for the turns are refused, with
/// the distances. The distances of the chosen are noted before the run, and the run's lock holds the choice and the SHA-256
/// of the model's files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmbeddingDistance {
    /// The model that embeds texts: `hf:owner/name` on the hub, or `path:folder`, relative to the manifest. A checkpoint of
    /// sentence-transformers, of the BERT family (`model_type` is `bert`), with the mean over tokens as pooling. Other
    /// models are refused.
    #[serde(default = "minilm")]
    model: String,
    /// Branch, tag or commit of the model on the hub. Default: `main`. Set it to a commit to pin the distances.
    #[serde(default)]
    revision: Option<String>,
    /// What is embedded of a category.
    #[serde(default)]
    of: Of,
    /// Number of items of each category that are embedded with `of = "items"`: a category's place is the mean of their
    /// embeddings. They are drawn by the study's seed; a category with fewer gives all. Default: 32. More cost time and make
    /// the place more certain.
    #[serde(default)]
    #[schemars(range(min = 1))]
    samples: Option<usize>,
    /// Smallest cosine distance between two of the chosen categories, from 0 (the same direction) to 2. Lower it where too
    /// few are left, raise it for topics that have less in common.
    #[serde(default = "least")]
    #[schemars(range(min = 0.0, max = 2.0))]
    min_distance: f64,
    /// Number of categories that are chosen. Default: one for each turn, or with `repeat` as many of these as can be had. Set
    /// it higher for groups that visit different ones of them, lower beside `repeat`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    count: Option<usize>,
    /// Name of the category to begin at. Default: one that the study's seed draws.
    #[serde(default)]
    start: Option<String>,
    /// The order in which a group visits the chosen categories.
    #[serde(default)]
    order: Order,
    /// Whether categories are visited again once all have been, none twice running. Set it to `true` where the study has more
    /// turns than there are categories far enough apart, which is refused otherwise.
    #[serde(default)]
    repeat: bool,
}

/// What is embedded of a category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Of {
    /// Name of the category, as the dataset has it.
    #[default]
    Names,
    /// The texts of some of its items.
    Items,
}

fn minilm() -> String {
    "hf:sentence-transformers/all-MiniLM-L6-v2".into()
}
fn least() -> f64 {
    0.3
}

/// Number of items of a category that are embedded, unless the manifest says otherwise.
const SAMPLES: usize = 32;
/// Most names in a note.
const NAMED: usize = 40;

impl PluginConfig for EmbeddingDistance {
    type Output = dyn Topics;

    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        let range = "`min_distance` must be from 0 to 2: a cosine distance";
        faults.when(!(0.0..=2.0).contains(&self.min_distance), "min_distance", range);
        faults.when(self.count == Some(0), "count", "`count` must be at least 1");
        faults.when(self.samples == Some(0), "samples", "`samples` must be at least 1");
        let idle = "`samples` does nothing without `of = \"items\"`: names are embedded";
        faults.when(self.of == Of::Names && self.samples.is_some_and(|n| n > 0), "samples", idle);
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Topics>> {
        Ok(Box::new(Distances { options: self.clone(), base: cx.base.clone(), found: None }))
    }
}

/// The plugin, and what it chose once it has read the data.
struct Distances {
    options: EmbeddingDistance,
    base: PathBuf,
    found: Option<Found>,
}

/// The categories that were chosen.
struct Found {
    chosen: Chosen,
    pairs: Option<Pairs>,
    /// Names of the chosen.
    names: Vec<String>,
    /// Number of categories of the dataset.
    of: usize,
    /// SHA-256 of the model's files.
    sha256: String,
}

impl EmbeddingDistance {
    /// Chooses among the categories of a dataset.
    fn found(&self, dataset: &dyn Dataset, cx: &PlanContext, base: &Path) -> Result<Found> {
        let all = dataset.categories();
        if all.is_empty() {
            return Err(Error::config("the dataset has no category to choose"));
        }
        let start = match &self.start {
            Some(name) => find(name, all, "start")?,
            None => (seed::derive(&[b"topics start", &cx.seed.to_le_bytes()]) % all.len() as u64) as usize,
        };
        let most = self.count.unwrap_or(cx.turns);
        if most < cx.turns && !self.repeat {
            let what = format!("{} turns need {} categories, but `count` is {most}", cx.turns, cx.turns);
            return Err(Error::at("count", what).help("raise it, lower `study.turns`, or set `repeat = true`"));
        }
        let model = SentenceModel::open(&self.model, self.revision.as_deref(), base)?;
        let vectors = match self.of {
            Of::Names => model.embed(&all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>())?,
            Of::Items => all.iter().map(|c| self.place(dataset, c, cx, &model)).collect::<Result<_>>()?,
        };
        let points = Points::new(&vectors).ok_or_else(|| Error::at("model", "an embedding has the length 0"))?;
        let chosen = points.farthest(start, most, self.min_distance);
        let names: Vec<String> = chosen.order.iter().map(|i| all[*i].name.clone()).collect();
        let needed = if self.repeat && self.count.is_none() { cx.turns.min(2) } else { most };
        if chosen.order.len() < needed {
            return Err(self.too_few(&points, &chosen, all, needed));
        }
        if self.order == Order::Fixed {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            comes_to_all("count", &names, cx.turns, "lower `count`, or leave out `order = \"fixed\"`")?;
        }
        if names.len() == 1 && cx.turns > 1 {
            let what = format!("`{}` alone would follow itself in {} turns", names[0], cx.turns);
            return Err(Error::at("count", what).help("choose two categories or more"));
        }
        let pairs = points.pairs(&chosen.order);
        Ok(Found { chosen, pairs, names, of: all.len(), sha256: model.sha256 })
    }

    /// The mean of the embeddings of a category's drawn items.
    fn place(&self, dataset: &dyn Dataset, c: &Category, cx: &PlanContext, model: &SentenceModel) -> Result<Vec<f32>> {
        if c.items == 0 {
            return Err(Error::at("of", format!("category `{}` has no items to embed", c.name)));
        }
        let drawn = seed::derive(&[b"topics samples", &cx.seed.to_le_bytes(), c.name.as_bytes()]);
        let drawn = seed::permutation(c.items, drawn).into_iter().take(self.samples.unwrap_or(SAMPLES));
        let texts = drawn.map(|i| text(&dataset.item(c, i)?)).collect::<Result<Vec<_>>>()?;
        let vectors = model.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let n = vectors.len() as f32;
        let mut mean = vec![0f32; vectors.first().map_or(0, Vec::len)];
        vectors.iter().for_each(|v| mean.iter_mut().zip(v).for_each(|(m, x)| *m += x / n));
        Ok(mean)
    }

    /// The error of categories that lie too close, with what was found and what would do.
    fn too_few(&self, points: &Points, chosen: &Chosen, all: &[Category], needed: usize) -> Error {
        let name = |i: usize| format!("`{}`", all[i].name);
        if all.len() < needed {
            let what = format!("{needed} categories are needed, but the dataset has {}", all.len());
            return Error::at("count", what).help("lower `study.turns` or `count`, or set `repeat = true`");
        }
        let nearest = |i: usize| {
            let near =
                chosen.order.iter().copied().min_by(|a, b| points.distance(i, *a).total_cmp(&points.distance(i, *b)));
            near.map_or_else(String::new, |near| format!(" from {}", name(near)))
        };
        let next = chosen
            .too_close
            .map_or_else(String::new, |(i, d)| format!("; the next, {}, lies at {d:.3}{}", name(i), nearest(i)));
        let enough = points.farthest(chosen.order[0], needed, 0.0).distances.last().copied().unwrap_or(0.0);
        // Rounded down, so that what is written does.
        let enough = (enough * 1000.0).floor() / 1000.0;
        let what = format!(
            "{needed} categories are needed, but only {} lie at least {} apart: {}{next}",
            chosen.order.len(),
            self.min_distance,
            steps(chosen, all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().as_slice()),
        );
        Error::at("min_distance", what).help(format!(
            "set `min_distance = {enough}` or less, lower `study.turns` or `count`, set `repeat = true`, or name another `start`"
        ))
    }
}

/// The text of an item: the user's messages if it has none of its own.
fn text(item: &Item) -> Result<String> {
    let script = || item.script.iter().map(|t| t.user.as_str()).collect::<Vec<_>>().join("\n");
    let text = if item.text.trim().is_empty() { script() } else { item.text.clone() };
    match text.trim().is_empty() {
        true => Err(Error::at("of", format!("item `{}` has no text to embed", item.id))),
        false => Ok(text),
    }
}

/// The chosen in order, each with the smallest distance to those before it. `names` are those of all categories.
fn steps(chosen: &Chosen, names: &[&str]) -> String {
    let distances = std::iter::once(None).chain(chosen.distances.iter().map(Some));
    let all = chosen.order.iter().zip(distances).map(|(i, d)| match d {
        Some(d) => format!("`{}` ({d:.3})", names[*i]),
        None => format!("`{}`", names[*i]),
    });
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    if more > 0 {
        all.truncate(NAMED);
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

impl Distances {
    fn found(&self) -> Result<&Found> {
        let unread = "`embedding-distance` has read no dataset: `prepare` comes first";
        self.found.as_ref().ok_or_else(|| Error::other(unread))
    }
}

impl Topics for Distances {
    fn prepare(&mut self, dataset: &dyn Dataset, cx: &PlanContext) -> Result<()> {
        self.found = Some(self.options.found(dataset, cx, &self.base)?);
        Ok(())
    }

    fn choose(&self, _: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        Ok(self.options.order.rows(&self.found()?.chosen.order, cx, 0..cx.groups))
    }

    fn choose_groups(&self, _: &[Category], cx: &PlanContext, groups: Range<usize>) -> Result<Option<TopicPlan>> {
        Ok(Some(self.options.order.rows(&self.found()?.chosen.order, cx, groups)))
    }

    fn notes(&self, categories: &[Category], cx: &PlanContext) -> Vec<String> {
        let Some(found) = &self.found else { return vec![] };
        let names: Vec<&str> = categories.iter().map(|c| c.name.as_str()).collect();
        let what = if self.options.of == Of::Names { "names" } else { "items" };
        let mut out = vec![format!(
            "topics: {} of {}, by the distance of their {what} from those before: {}",
            found.names.len(),
            plural(found.of, "category"),
            steps(&found.chosen, &names)
        )];
        out.extend(found.pairs.as_ref().map(|p| {
            format!(
                "cosine distances of the topics' {}: min {:.3}, max {:.3}, mean {:.3}, sd {:.3} (population)",
                plural(p.count, "pair"),
                p.min,
                p.max,
                p.mean,
                p.sd
            )
        }));
        if self.options.order == Order::Balanced {
            out.push(balanced::note(&found.chosen.order, cx));
        }
        out
    }

    fn fingerprint(&self) -> Option<String> {
        let found = self.found.as_ref()?;
        Some(format!("{}: {}", found.sha256, found.names.join(", ")))
    }
}

friction_core::inventory::submit! {
    PluginEntry::topics::<EmbeddingDistance>(
        "embedding-distance",
        "Categories that lie far apart, by sentence embeddings",
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests;
