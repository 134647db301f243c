//! Features by factor over three autoencoders of 16,384 features, 200 conversations, 1,000 sign flips:
//! `cargo bench -p friction-gemma-scope --bench features`.
#![allow(missing_docs)]
use friction_gemma_scope::features::{Conversation, differences};
use friction_stats::Rng;
use std::time::Instant;

fn main() {
    let mut rng = Rng::new(1);
    let layers: Vec<Vec<Conversation>> = (0..3)
        .map(|_| {
            (0..200)
                .map(|i| Conversation {
                    group: i / 4,
                    level: (i % 2) as usize,
                    mean: (0..16384).map(|f| (f, rng.unit())).collect(),
                })
                .collect()
        })
        .collect();
    let began = Instant::now();
    let tested: usize = layers.iter().map(|all| differences(all, 0.05, 1000, 1).len()).sum();
    println!("{tested} features, all of which fire everywhere, in {:.1} s", began.elapsed().as_secs_f64());
}
