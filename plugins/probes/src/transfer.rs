//! Probes that are learnt at one turn and tested at another.
use crate::report::Report;
use friction_core::{Column, Findings, Table};
use friction_stats::Link;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

impl Report<'_> {
    /// AUC of probes fitted at one turn and tested at another, with whole groups held out. Nothing if there is one turn.
    pub(crate) fn transfer(&self, layer: usize, c: f64, out: &mut Findings) {
        let x = &self.layers[layer].1;
        let rows = &self.rows.rows;
        let turns: Vec<u32> = rows.iter().map(|r| r.turn.turn).collect::<BTreeSet<_>>().into_iter().collect();
        if turns.len() < 2 {
            return;
        }
        out.section("Across turns");
        let cells: Vec<(u32, u32, f64)> = turns
            .par_iter()
            .flat_map(|from| {
                let held = self.design.learnt_where(x, self.y, c, |r| r.turn.turn == *from);
                turns
                    .iter()
                    .filter_map(|to| {
                        let auc = held.quality(Link::Logistic, self.y, |k| rows[held.rows[k]].turn.turn == *to);
                        Some((*from, *to, auc?))
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        let mean = |same: bool| {
            let of: Vec<f64> = cells.iter().filter(|(a, b, _)| (a == b) == same).map(|(_, _, v)| *v).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        out.say(format!(
            "At {}: mean AUC {:.3} when fitted and tested at the same turn, {:.3} at different turns",
            self.layers[layer].0,
            mean(true),
            mean(false)
        ));
        out.value("transfer", json!({"same_turn": mean(true), "other_turn": mean(false)}));
        out.table(
            Table::new("transfer", "AUC of a probe fitted at one turn and tested at another")
                .stored()
                .column(Column::count("learnt_at", cells.iter().map(|c| i64::from(c.0))))
                .column(Column::count("tested_at", cells.iter().map(|c| i64::from(c.1))))
                .column(Column::number("auc", cells.iter().map(|c| c.2)).title("AUC")),
        )
        .method("AUC averaged over folds that hold out whole groups");
    }
}
