//! Invariants: a conversation's results do not depend on its neighbours, prefix reuse, roll-back, forks or chunks, in every
//! model family.
#![allow(missing_docs, clippy::unwrap_used)]
mod compare;
mod forks;
mod prefix;
mod program;
mod replies;
mod rows;
mod talks;
mod world;
