//! The vocabulary, the plugin traits, the registry and the manifest of friction.
//!
//! This crate knows no model and writes no file. Its modules in reading order: [`item`] (what a dataset offers),
//! [`words`] (the parts of a conversation), [`context`] (what a condition knows when it is asked), [`history`] (what the
//! model reads beside a message), [`grade`] (how replies are graded), [`outcome`] (numbers that a turn has), [`contrast`]
//! (what is compared between levels of factors), [`site`] (places in a forward pass), [`program`] (what a hook declares)
//! and [`edit`] (what its edits compute), [`traits`] (what a plugin implements), [`registry`] (how a plugin is found),
//! [`manifest`] (how a study is written down), [`run`] (what an analyzer reads), [`findings`] (what it writes) and
//! [`import`] (how results of other programs become runs).
pub mod arms;
pub mod balance;
pub mod choice;
pub mod context;
pub mod contrast;
mod deserialize;
pub mod edit;
pub mod error;
pub mod findings;
pub mod grade;
pub mod history;
pub mod identity;
pub mod import;
mod issues;
pub mod item;
pub mod json;
pub mod manifest;
pub mod outcome;
pub mod program;
pub mod registry;
pub mod run;
mod sections;
pub mod seed;
pub mod site;
pub mod split;
mod suggestion;
pub mod thinking;
pub mod traits;
mod unread;
pub mod words;

pub use balance::Balance;
pub use choice::ChoiceParser;
pub use context::{OpeningContext, TurnContext};
pub use contrast::{ComparedTurns, Contrast};
pub use edit::{Autoencoder, EditOp, Encoder, Readout};
pub use error::{Error, Result};
pub use findings::{
    Block, Body, Cells, Column, Estimate, Figure, Findings, Says, Status, Table, TurnLink, Verdict, brief, plural,
};
pub use grade::{GradeKind, GradeSection, Grader};
pub use history::{Filler, Goal, History, Place};
pub use identity::{ModelIdentity, ModelPart};
pub use import::{ImportFile, Imported, Importer};
pub use inventory;
pub use item::{Category, Item, ScriptTurn, Target};
pub use outcome::Outcome;
pub use program::{Arm, Edit, HookProgram, ModelSpec, NeutralText, Tap};
pub use registry::{BuildContext, Declared, Kind, Maker, Origin, Plugin, PluginConfig, PluginEntry, Registry};
pub use run::{Aside, Coming, ConversationId, Fork, Peer, Readings, RunReader, Spoken, TapArray, TapView, TurnRow};
pub use schemars;
pub use schemars::JsonSchema;
pub use serde_json;
pub use site::{Depth, Position, Site};
pub use traits::{Analyzer, Condition, Dataset, Filter, Foreseen, Hook, Needs, PlanContext, TopicPlan, Topics};
pub use unread::{off_letters, unread};
pub use words::{
    Ask, Bounds, ChatMessage, Exchange, Factors, GivenReplies, Grade, Kept, ReplayTokens, Reply, Role, TextCodec,
    has_levels, other_factors,
};
