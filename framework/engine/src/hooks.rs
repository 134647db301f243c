//! A hook program applied to one forward pass: edits by each row's strength, taps of chosen rows.
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_core::program::EditAt;
use friction_core::{EditOp, HookProgram, Site};
use friction_model::Probe;
use std::collections::BTreeSet;

struct Compiled {
    site: Site,
    at: EditAt,
    op: EditOp,
    /// The vector of `Add`, or the unit direction, `[1, width]`.
    vector: Option<Tensor<2>>,
}

/// A program on a device.
pub struct Program {
    edits: Vec<Compiled>,
    tapped: BTreeSet<Site>,
    device: Device,
}

/// What an edit needs to know of a token.
#[derive(Debug, Clone, Copy)]
pub struct TokenRole {
    /// Index into the step's strengths.
    pub row: usize,
    /// Whether it predicts a reply token: `prompt-end` and the reply.
    pub replying: bool,
    /// Whether it belongs to the prompt, `prompt-end` included.
    pub prompt: bool,
}

impl Program {
    /// Uploads directions.
    pub fn new(program: &HookProgram, device: &Device) -> Self {
        let upload = |v: &[f32], unit: bool| {
            let norm = if unit { v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32 } else { 1.0 };
            let v: Vec<f32> = v.iter().map(|x| x / norm).collect();
            let n = v.len();
            Tensor::<2>::from_data(TensorData::new(v, [1, n]), (device, DType::F32))
        };
        let edits = program
            .edits
            .iter()
            .map(|e| Compiled {
                site: e.site,
                at: e.at,
                op: e.op.clone(),
                vector: match &e.op {
                    EditOp::Add(v) => Some(upload(v, false)),
                    EditOp::Remove(d) | EditOp::Project { direction: d, .. } | EditOp::Clamp { direction: d, .. } => {
                        Some(upload(d, true))
                    }
                    EditOp::Custom { .. } => None,
                },
            })
            .collect();
        Self { edits, tapped: program.taps.iter().map(|t| t.site).collect(), device: device.clone() }
    }

    /// Whether it neither reads nor changes anything in a step.
    pub fn idle(&self, strengths: &[Vec<f32>], reads: &[usize]) -> bool {
        reads.is_empty() && strengths.iter().flatten().all(|s| *s == 0.0)
    }

    /// Prepares a step. `roles` are the tokens', `strengths` the rows' (`[rows][edits]`), `reads` the
    /// tokens whose activations are wanted, `logits` the tokens whose logits are computed.
    pub fn pass<'a>(
        &'a self,
        roles: &'a [TokenRole],
        strengths: &'a [Vec<f32>],
        reads: &'a [usize],
        logits: &'a [usize],
    ) -> Pass<'a> {
        Pass { program: self, roles, strengths, reads, logits, read: vec![] }
    }
}

/// One forward pass under a program.
pub struct Pass<'a> {
    program: &'a Program,
    roles: &'a [TokenRole],
    strengths: &'a [Vec<f32>],
    reads: &'a [usize],
    logits: &'a [usize],
    read: Vec<(Site, Tensor<2>)>,
}

impl Pass<'_> {
    /// Reads everything that was tapped: one transfer per width. For each site, rows in the order
    /// of `reads`.
    pub fn finish(self) -> Vec<(Site, Vec<Vec<f32>>)> {
        let mut widths: Vec<usize> = self.read.iter().map(|(_, t)| t.dims()[1]).collect();
        widths.sort_unstable();
        widths.dedup();
        let mut out = vec![];
        for width in widths {
            let (sites, tensors): (Vec<_>, Vec<_>) =
                self.read.iter().filter(|(_, t)| t.dims()[1] == width).cloned().unzip();
            let rows = tensors.first().map_or(0, |t| t.dims()[0]);
            let data = Tensor::cat(tensors, 0).into_data();
            let values: Vec<f32> = data.iter::<f32>().collect();
            for (site, block) in sites.into_iter().zip(values.chunks(rows * width)) {
                let mut rows: Vec<Vec<f32>> = block.chunks(width).map(<[f32]>::to_vec).collect();
                if site == Site::Logits {
                    // The last token of a reply that met its limit predicts nothing.
                    for (row, _) in rows.iter_mut().zip(self.reads).filter(|(_, t)| !self.logits.contains(t)) {
                        row.fill(f32::NAN);
                    }
                }
                out.push((site, rows));
            }
        }
        out
    }

    fn column(&self, edit: usize, tokens: &[usize]) -> Option<Vec<f32>> {
        let at = self.program.edits[edit].at;
        let column: Vec<f32> = tokens
            .iter()
            .map(|t| {
                let role = self.roles[*t];
                let reached = match at {
                    EditAt::All => true,
                    EditAt::Prompt => role.prompt,
                    EditAt::Reply => role.replying,
                    EditAt::PromptEnd => role.replying && role.prompt,
                };
                if reached { self.strengths[role.row].get(edit).copied().unwrap_or(0.0) } else { 0.0 }
            })
            .collect();
        column.iter().any(|s| *s != 0.0).then_some(column)
    }
}

impl Probe for Pass<'_> {
    fn wants(&self, site: Site) -> bool {
        (self.program.tapped.contains(&site) && !self.reads.is_empty())
            || self.program.edits.iter().any(|e| e.site == site)
    }

    fn at(&mut self, site: Site, mut x: Tensor<2>) -> Tensor<2> {
        let all: Vec<usize>;
        let tokens: &[usize] = if site == Site::Logits {
            self.logits
        } else {
            all = (0..self.roles.len()).collect();
            &all
        };
        for (i, edit) in self.program.edits.iter().enumerate().filter(|(_, e)| e.site == site) {
            let Some(column) = self.column(i, tokens) else { continue };
            let n = column.len();
            let s = Tensor::<2>::from_data(TensorData::new(column, [n, 1]), (&self.program.device, DType::F32));
            let untouched = s.clone().equal_elem(0.0).expand(x.dims());
            let y = apply(edit, x.clone(), s);
            x = y.mask_where(untouched, x);
        }
        if self.program.tapped.contains(&site) && !self.reads.is_empty() {
            let rows: Vec<i64> =
                self.reads.iter().map(|t| tokens.iter().position(|k| k == t).map_or(0, |p| p as i64)).collect();
            let n = rows.len();
            let index = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &self.program.device);
            self.read.push((site, x.clone().select(0, index)));
        }
        x
    }
}

fn apply(edit: &Compiled, x: Tensor<2>, s: Tensor<2>) -> Tensor<2> {
    let along = |x: &Tensor<2>, u: &Tensor<2>| (x.clone() * u.clone()).sum_dim(1);
    match (&edit.op, &edit.vector) {
        (EditOp::Add(_), Some(v)) => x + s * v.clone(),
        (EditOp::Remove(_), Some(u)) => {
            let p = along(&x, u);
            x - s * p * u.clone()
        }
        (EditOp::Project { value, .. }, Some(u)) => {
            let p = along(&x, u);
            x + s * (p.neg() + *value) * u.clone()
        }
        (EditOp::Clamp { min, max, .. }, Some(u)) => {
            let p = along(&x, u);
            x + s * (p.clone().clamp(*min, *max) - p) * u.clone()
        }
        (EditOp::Custom { run, .. }, _) => run(x, s),
        // Every other operation was given its vector when it was compiled.
        (_, None) => x,
    }
}
