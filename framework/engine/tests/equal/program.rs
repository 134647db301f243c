//! Taps and edits of all kinds.
use friction_checkpoint::testing::tiny::HIDDEN;
use friction_core::program::{Autoencoder, Edit, EditAt, EditOp, Encoder, Readout};
use friction_core::{HookProgram, Position, Site, Tap};
use std::sync::Arc;

/// Numbers from −1 to 1.
pub fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
}

pub fn program() -> HookProgram {
    let tap = |site, position| Tap { site, position };
    HookProgram {
        taps: vec![
            tap(Site::ResidPost(1), Position::PromptEnd),
            tap(Site::ResidPost(3), Position::Reply(3)),
            tap(Site::AttnOut(2), Position::ReplyMean),
            tap(Site::MlpIn(1), Position::ReplyEnd),
            tap(Site::FinalNorm, Position::PromptEnd),
            tap(Site::ResidPost(2), Position::ReplyAll),
        ],
        edits: edits(),
        ..HookProgram::default()
    }
}

/// A push, a ceiling of a projection, a feature that is set where another is active, an autoencoder's reconstruction, and
/// a vector of the conversation's own. They apply at all tokens and in all turns alike: only then does a cache that holds
/// earlier turns equal one that is computed again. Layers behind them have keys and values too.
fn edits() -> Vec<Edit> {
    let edit = |site, op| Edit { name: "push".into(), site, at: EditAt::All, turns: None, gate: None, op };
    let feature = |phase| Readout::Linear { vector: wave(HIDDEN, phase), bias: 0.1, threshold: Some(0.2) };
    let push = |read, min, max| EditOp::Push { read, along: wave(HIDDEN, 3.0), min, max };
    let autoencoder = Autoencoder {
        encoder: Encoder { weights: wave(HIDDEN * 20, 0.5), bias: wave(20, 1.0) },
        least: vec![0.1; 20],
        k: Some(6),
        decoder: wave(20 * HIDDEN, 2.0),
        decoder_bias: wave(HIDDEN, 4.0),
    };
    let set = edit(Site::ResidPost(1), push(feature(5.0), Some(1.0), Some(1.0)));
    vec![
        edit(Site::ResidPost(0), EditOp::Add(wave(HIDDEN, 0.0))),
        edit(Site::ResidPost(1), push(Readout::projection(&wave(HIDDEN, 2.0)), None, Some(0.5))),
        Edit { gate: Some(feature(6.0)), ..set },
        edit(Site::MlpOut(2), EditOp::Reconstruct(Arc::new(autoencoder))),
        edit(Site::ResidPost(2), EditOp::Given { width: HIDDEN }),
    ]
}
