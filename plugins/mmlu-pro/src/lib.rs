//! `mmlu-pro`: TIGER-Lab/MMLU-Pro (Wang et al. 2024, arXiv 2406.01574), from local Parquet files or the hub.
//!
//! The columns are the dataset's: `question`, `options`, `answer_index`, `category`, `question_id`, and optionally
//! `answer` and `cot_content`. A null, an index beyond the options or an `answer` that contradicts `answer_index` is an
//! error that names the row, because a question without its right answer would grade every reply as wrong. Three
//! properties of the real file are handled: padding options (`N/A` or empty) are dropped, a question that occurs twice is
//! used once, and a question whose right option occurs twice among its options, so that two letters are right, is left
//! out. How many are left out is a note of the plan.
mod read;
mod worked;

use friction_checkpoint::hub::Repo;
use friction_core::choice::{self, Bank, check_instruction};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Category, ChatMessage, ChoiceParser, Dataset, Error, Grade, Item, PluginConfig, PluginEntry, Result,
    plural,
};
use read::{File, Question};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asks the questions of MMLU-Pro (Wang et al. 2024, arXiv 2406.01574): multiple choice in 14 categories, up to ten options
/// each. A reply is graded by the letter that it declares.
///
/// Padding among the options is dropped, a question that stands twice is asked once, and one whose right option stands
/// twice among its options is left out. The dataset's own form of asking is `style = "chain-of-thought"`; as
/// lm-evaluation-harness runs it, a base model has `chat_template = "none"` in `[model]`, and `stop = ["Question:"]` and
/// `max_new_tokens = 2048` in `[generation]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A local Parquet file with the dataset's columns, relative to the manifest. Default: the test split on the hub. Set it
    /// on a machine without network.
    #[serde(default)]
    path: Option<PathBuf>,
    /// A local Parquet file of worked examples, with the column `cot_content`. Default: the validation split on the hub,
    /// if there are `shots`.
    #[serde(default)]
    validation_path: Option<PathBuf>,
    /// Branch, tag or commit of the dataset on the hub. Default: `main`. Set it to a commit to pin the questions; it is
    /// refused where local files are all that is read.
    #[serde(default)]
    revision: Option<String>,
    /// Fewest real options of a question; questions with fewer are left out. The default keeps all. Set it to 10 for the
    /// same chance level in every question.
    #[serde(default = "three")]
    #[schemars(range(max = 10))]
    min_options: usize,
    /// How a question is asked.
    #[serde(default)]
    style: Style,
    /// Number of worked examples before the first turn, of the subject of the conversation's first question: the first
    /// ones of the validation split, which has five a subject. Default: 5 in the style `chain-of-thought`, which refuses
    /// them where a conversation asks about several subjects, and 0 in the style `chat`.
    #[serde(default)]
    #[schemars(range(max = 100))]
    shots: Option<usize>,
    /// Text in place of the one that says how to answer: in the style `chat` the sentence that closes each prompt
    /// (`{letters}` stands for the options' letters, such as `A-J`), in the style `chain-of-thought` the one before the
    /// first question (`{topic}` stands for the subject). Empty for none.
    #[serde(default)]
    instruction: Option<String>,
}
fn three() -> usize {
    3
}

/// How a question is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Style {
    /// The question, its options, and a sentence that asks for a letter. Worked examples answer with the letter alone.
    #[default]
    Chat,
    /// As lm-evaluation-harness's task mmlu_pro: "Let's think step by step", after examples that do. What its own pattern
    /// reads is stored beside the declared answer, as `grade_lm-eval`.
    ChainOfThought,
}

const REPO: &str = "TIGER-Lab/MMLU-Pro";
const TEST: &str = "data/test-00000-of-00001.parquet";
const VALIDATION: &str = "data/validation-00000-of-00001.parquet";

fn fetch(revision: Option<&str>, file: &str) -> Result<PathBuf> {
    Repo::new(REPO, revision, true).and_then(|mut repo| repo.get(file)).map_err(Error::other)
}

impl Config {
    fn shots(&self) -> usize {
        self.shots.unwrap_or(if self.style == Style::ChainOfThought { 5 } else { 0 })
    }

    fn file(&self, local: Option<&PathBuf>, cx: &BuildContext, name: &str) -> Result<PathBuf> {
        match local {
            Some(path) => Ok(cx.base.join(path)),
            None => fetch(self.revision.as_deref(), name),
        }
    }
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        let local = self.path.is_some() && (self.validation_path.is_some() || self.shots() == 0);
        let idle = "`revision` does nothing beside local files: only the hub's have revisions";
        faults.when(local && self.revision.is_some(), "revision", idle);
        let idle = "`validation_path` does nothing without `shots`";
        faults.when(self.shots() == 0 && self.validation_path.is_some(), "validation_path", idle);
        faults.when(self.min_options > 10, "min_options", "`min_options` is at most 10: no question has more options");
        faults.when(self.shots() > 100, "shots", "`shots` is at most 100");
        let known = if self.style == Style::Chat { ["letters"] } else { ["topic"] };
        faults.take(self.instruction.as_deref().map_or(Ok(()), |i| check_instruction(i, &known)));
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = self.file(self.path.as_ref(), cx, TEST)?;
        let examples = match self.shots() {
            0 => None,
            _ => {
                let path = self.file(self.validation_path.as_ref(), cx, VALIDATION)?;
                Some((File::read(&path)?, path))
            }
        };
        Ok(Box::new(MmluPro::new(self, File::read(&path)?, &path, examples)?))
    }
}

/// The questions, and the worked examples that stand before them.
struct MmluPro {
    bank: Bank,
    style: Style,
    /// What stands before the first question in the style `chain-of-thought`.
    description: String,
    /// Texts of questions as they stand in the file, by id, where white space stands around them.
    raw: BTreeMap<String, String>,
    /// Worked examples by subject; empty if there are none.
    shots: BTreeMap<String, Vec<ChatMessage>>,
}

impl MmluPro {
    fn new(config: &Config, test: File, path: &Path, examples: Option<(File, PathBuf)>) -> Result<Self> {
        let mut fingerprint = test.fingerprint;
        let mut questions: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        let (mut seen, mut ids, mut raw) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let (all, mut few, mut torn, mut twice) = (test.questions.len(), 0, 0, 0);
        for q in test.questions {
            let (item, text) = (q.item, q.raw);
            if item.choices.len() < config.min_options {
                few += 1;
                continue;
            }
            if answered_twice(&item) {
                torn += 1;
                continue;
            }
            // 159 questions of the dataset occur twice, under two subjects; the first is kept.
            if !seen.insert((item.text.clone(), item.choices.clone())) {
                twice += 1;
                continue;
            }
            if !ids.insert(item.id.clone()) {
                return Err(Error::data(path, format!("two questions are called `{}`; ids must differ", item.id)));
            }
            if text != item.text {
                raw.insert(item.id.clone(), text);
            }
            questions.entry(item.category.clone()).or_default().push(item);
        }
        if questions.is_empty() {
            let least = config.min_options;
            return Err(Error::data(path, format!("holds no question with {least} options or more")));
        }
        let mut shots = BTreeMap::new();
        if let Some((file, path)) = examples {
            fingerprint = format!("{fingerprint}+{}", file.fingerprint);
            for subject in questions.keys() {
                shots.insert(subject.clone(), examples_of(config, &file, &path, subject)?);
            }
        }
        let mut why = vec![];
        let mut count = |n: usize, what: String| why.extend((n > 0).then(|| format!("{n} {what}")));
        count(twice, "that stand twice".into());
        count(torn, "with two right letters".into());
        count(few, format!("with fewer than {}", plural(config.min_options, "option")));
        let left = few + torn + twice;
        let note = format!("{left} of MMLU-Pro's {all} questions are left out: {}", why.join(", "));
        let notes = if left == 0 { vec![] } else { vec![note] };
        let (style, instruction) = (config.style, config.instruction.clone());
        let description = instruction.clone().unwrap_or_else(|| worked::DESCRIPTION.into());
        let bank = Bank::new(questions, fingerprint).with_instruction(instruction).with_notes(notes);
        Ok(Self { bank, style, description, raw, shots })
    }

    /// A question of the style `chain-of-thought`.
    fn thought(&self, item: &Item) -> String {
        worked::question(self.raw.get(&item.id).unwrap_or(&item.text), item)
    }
}

/// The worked examples of a subject, as messages.
fn examples_of(config: &Config, file: &File, path: &Path, subject: &str) -> Result<Vec<ChatMessage>> {
    let n = config.shots();
    let of: Vec<&Question> = file.questions.iter().filter(|q| q.item.category == subject).take(n).collect();
    if of.len() < n {
        let has = plural(of.len(), "worked example");
        return Err(Error::at("shots", format!("`shots = {n}`, but {} has {has} of {subject}", path.display())));
    }
    if config.style == Style::Chat {
        let pair = |q: &&Question| {
            let prompt = choice::prompt_with(&q.item, config.instruction.as_deref())?;
            let letter = q.item.target_letter().unwrap_or_default();
            Ok([ChatMessage::user(prompt), ChatMessage::assistant(letter.to_string())])
        };
        return Ok(of.iter().map(pair).collect::<Result<Vec<_>>>()?.concat());
    }
    if let Some(q) = of.iter().find(|q| q.worked.trim().is_empty()) {
        let what =
            format!("has no `cot_content` for `{}`: the test split has none, the validation split has", q.item.id);
        return Err(Error::data(path, what));
    }
    let mut out: Vec<ChatMessage> = of.iter().flat_map(|q| worked::example(q)).collect();
    let description = config.instruction.as_deref().unwrap_or(worked::DESCRIPTION);
    if let Some(first) = out.first_mut() {
        first.content.insert_str(0, &worked::description(description, subject));
    }
    Ok(out)
}

/// Whether another option has the same text as the right one, so that two letters are right.
fn answered_twice(q: &Item) -> bool {
    q.right().is_some_and(|right| q.choices.iter().filter(|o| **o == q.choices[right]).count() > 1)
}

impl Dataset for MmluPro {
    fn categories(&self) -> &[Category] {
        self.bank.categories()
    }
    fn item(&self, c: &Category, index: usize) -> Result<Item> {
        self.bank.item(c, index)
    }
    fn prompt(&self, item: &Item) -> Result<String> {
        match self.style {
            Style::Chat => self.bank.prompt(item),
            Style::ChainOfThought if self.shots.is_empty() => {
                Ok(worked::description(&self.description, &item.category) + &self.thought(item))
            }
            Style::ChainOfThought => Ok(self.thought(item)),
        }
    }
    fn opening(&self, items: &[Item]) -> Result<Vec<ChatMessage>> {
        let Some(subject) = items.first().map(|i| i.category.as_str()).filter(|_| !self.shots.is_empty()) else {
            return Ok(vec![]);
        };
        if let Some(other) = items.iter().find(|i| i.category != subject && self.style == Style::ChainOfThought) {
            let what = format!(
                "the worked examples are of one subject, and a conversation asks about {subject} and {}",
                other.category
            );
            return Err(Error::at("shots", what)
                .help("set `study.turns = 1`, choose topics of one subject, or set `shots = 0`"));
        }
        Ok(self.shots.get(subject).cloned().unwrap_or_default())
    }
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        match self.style {
            Style::Chat => self.bank.grade(item, reply),
            Style::ChainOfThought => Ok(choice::grade_by(item, reply, ChoiceParser::Declared)),
        }
    }
    fn metrics(&self) -> Option<Vec<String>> {
        Some(vec![])
    }
    fn fingerprint(&self) -> String {
        self.bank.fingerprint()
    }
    fn notes(&self) -> Vec<String> {
        Dataset::notes(&self.bank)
    }
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("mmlu-pro", "MMLU-Pro from the hub or a local Parquet file", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
