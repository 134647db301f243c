//! The measurements as a table and as JSON.
use super::ceilings::Ceilings;
use friction_core::plural;
use serde_json::{Value, json};
use std::fmt;

/// The measurements of one batch size. Times are in seconds per step.
pub(super) struct Row {
    pub batch: usize,
    pub step: f64,
    /// A step that taps every layer of every row and copies the result to the host.
    pub tapped: Option<f64>,
    /// A step with an edit at one layer, of a different strength for each row.
    pub edited: Option<f64>,
    /// Prompt tokens per second.
    pub prefill: f64,
    /// Bytes that a decode step must read: weights, keys and values.
    pub step_bytes: u64,
    /// Floating-point operations per prompt token.
    pub token_operations: f64,
    pub cache_bytes: u64,
    /// Growth of host and device memory in bytes over the second half of the plain steps.
    pub grown: [Option<i64>; 2],
}

pub(super) struct Table<'a> {
    pub model: &'a str,
    /// The config.json of a published shape.
    pub config: Option<Value>,
    pub backend: &'a str,
    pub dtype: &'a str,
    pub quantize: &'a str,
    pub context: usize,
    pub load_seconds: f64,
    pub host_peak_bytes: Option<u64>,
    pub device_bytes: Option<u64>,
    pub ceilings: Ceilings,
    pub rows: Vec<Row>,
}

/// The friction study that is projected: conversations, turns of each, tokens of a reply, tokens of a user message.
const PROTOCOL: [u64; 4] = [4 * 50, 14, 256, 200];

impl Row {
    fn decode_share(&self, c: &Ceilings) -> f64 {
        self.step_bytes as f64 / c.bytes / self.step
    }
    fn prefill_share(&self, c: &Ceilings) -> f64 {
        self.prefill * self.token_operations / c.operations
    }
    /// Relative cost of taps in a turn of that study. `prompt-end` and the first five reply tokens are read at every
    /// layer, so six steps of a turn cost what a tapped step does.
    fn tapped_turn(&self) -> Option<f64> {
        Some(6.0 * over(self.step, self.tapped)? / PROTOCOL[2] as f64)
    }
    /// Seconds of the projected study at this batch size.
    fn study(&self) -> f64 {
        let [conversations, turns, reply, user] = PROTOCOL.map(|n| n as f64);
        let rounds = (conversations / self.batch as f64).ceil();
        rounds * turns * reply * self.step + conversations * turns * user / self.prefill
    }
}

/// How much longer than a plain step another takes, as a share of the plain one.
fn over(step: f64, other: Option<f64>) -> Option<f64> {
    other.map(|t| t / step - 1.0)
}

impl Table<'_> {
    pub fn json(&self) -> Value {
        let row = |r: &Row| {
            json!({
                "batch": r.batch,
                "decode_ms_per_step": r.step * 1e3,
                "decode_tokens_per_second": r.batch as f64 / r.step,
                "decode_share_of_floor": r.decode_share(&self.ceilings),
                "tapped_ms_per_step": r.tapped.map(|t| t * 1e3),
                "tapped_turn_overhead": r.tapped_turn(),
                "edited_ms_per_step": r.edited.map(|t| t * 1e3),
                "prefill_tokens_per_second": r.prefill,
                "prefill_share_of_product_rate": r.prefill_share(&self.ceilings),
                "cache_bytes": r.cache_bytes,
                "host_bytes_grown": r.grown[0],
                "device_bytes_grown": r.grown[1],
                "study_seconds": r.study(),
            })
        };
        json!({
            "model": self.model,
            "config": self.config,
            "backend": self.backend,
            "dtype": self.dtype,
            "quantize": self.quantize,
            "context": self.context,
            "load_seconds": self.load_seconds,
            "peak_memory_bytes": self.host_peak_bytes,
            "device_memory_bytes": self.device_bytes,
            "copy_bytes_per_second": self.ceilings.bytes,
            "product_operations_per_second": self.ceilings.operations,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} in {}, weights {}, {} of context; loaded in {:.2} s",
            self.model,
            self.backend,
            self.dtype,
            if self.quantize == "none" { "whole" } else { self.quantize },
            plural(self.context, "token"),
            self.load_seconds
        )?;
        writeln!(
            f,
            "limits of this machine: copying {:.0} GB/s, matrix product {:.2} TFLOP/s",
            self.ceilings.bytes / 1e9,
            self.ceilings.operations / 1e12
        )?;
        writeln!(
            f,
            "{:>6} {:>15} {:>13} {:>9} {:>8} {:>8} {:>8} {:>14} {:>8} {:>9}",
            "batch",
            "decode ms/step",
            "decode tok/s",
            "of floor",
            "tapped",
            "a turn",
            "edited",
            "prefill tok/s",
            "of rate",
            "study"
        )?;
        let percent = |p: Option<f64>| p.map_or("-".into(), |p| format!("{:+.1} %", 100.0 * p));
        for r in &self.rows {
            writeln!(
                f,
                "{:>6} {:>15.2} {:>13.1} {:>7.0} % {:>8} {:>8} {:>8} {:>14.1} {:>6.0} % {:>9}",
                r.batch,
                r.step * 1e3,
                r.batch as f64 / r.step,
                100.0 * r.decode_share(&self.ceilings),
                percent(over(r.step, r.tapped)),
                percent(r.tapped_turn()),
                percent(over(r.step, r.edited)),
                r.prefill,
                100.0 * r.prefill_share(&self.ceilings),
                time(r.study())
            )?;
        }
        let [conversations, turns, reply, user] = PROTOCOL;
        writeln!(
            f,
            "of floor: share of a step that reading its weights and keys takes at the copying rate; of rate: prefill's operations per second ÷ the product's;\n\
             tapped, edited: extra time of a step that reads every layer of every row, or edits one layer;\n\
             a turn: extra time of a turn of {reply} tokens that is read at every layer at prompt-end and reply:5;\n\
             study: projected time of {conversations} conversations of {turns} turns, with {reply} tokens a reply and {user} a user message"
        )?;
        for (i, memory) in ["host", "device"].iter().enumerate() {
            if let Some(most) = self.rows.iter().filter_map(|r| r.grown[i]).max() {
                writeln!(
                    f,
                    "{memory} memory grew by {:.1} MiB over the second half of the plain steps",
                    most as f64 / 1048576.0
                )?;
            }
        }
        let gib = |b: u64| b as f64 / (1u64 << 30) as f64;
        if let Some(d) = self.device_bytes {
            writeln!(f, "device memory reserved {:.2} GiB", gib(d))?;
        }
        if let Some(p) = self.host_peak_bytes {
            writeln!(f, "peak memory {:.2} GiB", gib(p))?;
        }
        Ok(())
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
