//! Times the comparison of features between two levels of a factor: three autoencoders of 16,384 features, 50 groups,
//! 1,000 sign flips. Run `cargo bench -p friction-gemma-scope --bench features`.
#![allow(missing_docs)]
use friction_gemma_scope::features::{Feature, differences};
use friction_gemma_scope::halves::Halves;
use friction_gemma_scope::questions::Links;
use friction_stats::Rng;
use std::time::Instant;

fn main() {
    let mut rng = Rng::new(1);
    let groups = 50;
    let layers: Vec<Vec<Feature>> = (0..3)
        .map(|_| {
            (0..16384)
                .map(|index| {
                    let mut values = || (0..groups).map(|_| rng.normal()).collect::<Vec<_>>();
                    let links = Links { difference: values(), answers: values(), sd: 1.0 };
                    Feature { index, rate: 1.0, auc: 0.5, links }
                })
                .collect()
        })
        .collect();
    let halves = Halves::of(groups, 1);
    let began = Instant::now();
    let tested: usize = layers.iter().map(|all| differences(all, &halves, 1000, 1).len()).sum();
    println!("{tested} features, all of which fire everywhere, in {:.1} s", began.elapsed().as_secs_f64());
}
