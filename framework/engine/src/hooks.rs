//! Applies a hook program to a forward pass: edits with each row's strength, and taps of chosen rows.
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_core::program::EditAt;
use friction_core::{EditOp, HookProgram, Site};
use friction_model::Probe;
use friction_model::decoder::{Hooks, Wish};
use friction_model::model::floats;
use std::collections::BTreeSet;

struct Compiled {
    name: String,
    site: Site,
    at: EditAt,
    op: EditOp,
    /// The vector of `Add`, or the unit direction, `[1, width]`.
    vector: Option<Tensor<2>>,
}

/// A hook program whose directions are on a device.
pub struct Program {
    edits: Vec<Compiled>,
    tapped: BTreeSet<Site>,
    device: Device,
}

/// What an edit needs to know about a token.
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
    /// Uploads the program's directions to `device`, divided by their norm where the operation needs a unit vector.
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
                name: e.name.clone(),
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

    /// Whether the whole program can run inside a recorded step (CUDA graph). Custom edits cannot: they may need the
    /// host.
    pub fn records(&self) -> bool {
        self.edits.iter().all(|e| !matches!(e.op, EditOp::Custom { .. }))
    }

    /// Names and strengths of the edits at a site whose strength is not 0.
    pub(crate) fn strong(&self, site: Site, strengths: &[f32]) -> Vec<(String, f32)> {
        let on = self.edits.iter().zip(strengths).filter(|(e, s)| e.site == site && **s != 0.0);
        on.map(|(e, s)| (e.name.clone(), *s)).collect()
    }

    /// What the program asks of a decode step, which has one token a row. `roles`, `strengths` and `reads` are as for
    /// [`Self::pass`].
    pub fn wish(&self, roles: &[TokenRole], strengths: &[Vec<f32>], reads: &[usize]) -> Wish {
        let tokens: Vec<usize> = (0..roles.len()).collect();
        let columns: Vec<_> = (0..self.edits.len()).map(|e| self.column(e, roles, strengths, &tokens)).collect();
        let mut wish = Wish { strengths: vec![], reads: if self.tapped.is_empty() { vec![] } else { reads.to_vec() } };
        if columns.iter().any(Option::is_some) {
            let zeros = || vec![0.0; roles.len()];
            wish.strengths = columns.into_iter().flat_map(|c| c.unwrap_or_else(zeros)).collect();
        }
        wish
    }

    /// Strength of an edit for each of `tokens`; `None` if all are 0.
    fn column(&self, edit: usize, roles: &[TokenRole], strengths: &[Vec<f32>], tokens: &[usize]) -> Option<Vec<f32>> {
        let at = self.edits[edit].at;
        let column: Vec<f32> = tokens
            .iter()
            .map(|t| {
                let role = roles[*t];
                let reached = match at {
                    EditAt::All => true,
                    EditAt::Prompt => role.prompt,
                    EditAt::Reply => role.replying,
                    EditAt::PromptEnd => role.replying && role.prompt,
                };
                if reached { strengths[role.row].get(edit).copied().unwrap_or(0.0) } else { 0.0 }
            })
            .collect();
        column.iter().any(|s| *s != 0.0).then_some(column)
    }

    fn edit(&self, site: Site, mut x: Tensor<2>, mut strengths: impl FnMut(usize) -> Option<Tensor<2>>) -> Tensor<2> {
        for (i, edit) in self.edits.iter().enumerate().filter(|(_, e)| e.site == site) {
            let Some(s) = strengths(i) else { continue };
            let untouched = s.clone().equal_elem(0.0).expand(x.dims());
            let y = apply(edit, x.clone(), s);
            x = y.mask_where(untouched, x);
        }
        x
    }

    /// Groups sites by width, the narrowest first. Sites of one width keep their order.
    fn by_width<T: Clone>(read: &[(Site, T)], width: impl Fn(&T) -> usize) -> Vec<Vec<(Site, T)>> {
        let mut widths: Vec<usize> = read.iter().map(|(_, t)| width(t)).collect();
        widths.sort_unstable();
        widths.dedup();
        widths.into_iter().map(|w| read.iter().filter(|(_, t)| width(t) == w).cloned().collect()).collect()
    }

    /// Splits what a recorded step read into the rows of each site. `taken` holds one block `[sites × reads, width]`
    /// for each width, in the order of [`Hooks::run`]. Rows of logits that were not computed are NaN.
    pub fn taken(
        &self,
        taken: &[Vec<f32>],
        reads: &[usize],
        logits: &[usize],
        width: impl Fn(Site) -> usize,
    ) -> Vec<(Site, Vec<Vec<f32>>)> {
        let sites: Vec<(Site, Site)> = self.tapped.iter().map(|s| (*s, *s)).collect();
        let groups = Self::by_width(&sites, |s| width(*s));
        let mut out = vec![];
        for (group, block) in groups.into_iter().zip(taken) {
            let sites: Vec<Site> = group.into_iter().map(|(s, _)| s).collect();
            let Some(first) = sites.first() else { continue };
            out.extend(rows(&sites, width(*first), block, reads, logits));
        }
        out
    }

    /// Prepares a forward pass. `roles` has an entry for each token. `strengths` is `[rows][edits]`. `reads` holds the
    /// indices of the tokens whose activations are wanted, `logits` those of the tokens whose logits are computed.
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

/// One forward pass to which a program is applied.
pub struct Pass<'a> {
    program: &'a Program,
    roles: &'a [TokenRole],
    strengths: &'a [Vec<f32>],
    reads: &'a [usize],
    logits: &'a [usize],
    read: Vec<(Site, Tensor<2>)>,
}

impl Pass<'_> {
    /// Copies everything that was tapped to the host, in one transfer per width. Each site has one row for each of
    /// `reads`, in their order.
    pub fn finish(self) -> Vec<(Site, Vec<Vec<f32>>)> {
        let mut out = vec![];
        for group in Program::by_width(&self.read, |t: &Tensor<2>| t.dims()[1]) {
            let (sites, tensors): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let block = Tensor::cat(tensors, 0);
            out.extend(rows(&sites, block.dims()[1], &floats(&block.into_data()), self.reads, self.logits));
        }
        out
    }
}

/// Splits `values`, `[sites × reads, width]`, into the rows of each site.
fn rows(sites: &[Site], width: usize, values: &[f32], reads: &[usize], logits: &[usize]) -> Vec<(Site, Vec<Vec<f32>>)> {
    let blocks = values.chunks(reads.len() * width);
    sites
        .iter()
        .zip(blocks)
        .map(|(site, block)| {
            let mut rows: Vec<Vec<f32>> = block.chunks(width).map(<[f32]>::to_vec).collect();
            if *site == Site::Logits {
                // The last token of a reply that reached its limit has no logits.
                for (row, _) in rows.iter_mut().zip(reads).filter(|(_, t)| !logits.contains(t)) {
                    row.fill(f32::NAN);
                }
            }
            (*site, rows)
        })
        .collect()
}

/// A recorded step to which a program is applied: strengths are buffers on the device, and every row of a tapped site
/// is read.
struct Inside<'a> {
    program: &'a Program,
    strengths: &'a [Tensor<2>],
    tapped: bool,
    read: Vec<(Site, Tensor<2>)>,
}

impl Probe for Inside<'_> {
    fn wants(&self, site: Site) -> bool {
        self.tapped && self.program.tapped.contains(&site) || self.changes(site)
    }
    fn changes(&self, site: Site) -> bool {
        !self.strengths.is_empty() && self.program.edits.iter().any(|e| e.site == site)
    }
    fn at(&mut self, site: Site, x: Tensor<2>) -> Tensor<2> {
        let x = self.program.edit(site, x, |i| self.strengths.get(i).cloned());
        if self.tapped && self.program.tapped.contains(&site) {
            self.read.push((site, x.clone()));
        }
        x
    }
}

impl Hooks for Program {
    fn columns(&self) -> usize {
        self.edits.len()
    }

    fn run(&self, strengths: &[Tensor<2>], tapped: bool, pass: &mut dyn FnMut(&mut dyn Probe)) -> Vec<Tensor<2>> {
        let mut inside = Inside { program: self, strengths, tapped, read: vec![] };
        pass(&mut inside);
        // `taken` expects the sites in the order of `tapped`.
        inside.read.sort_by_key(|(site, _)| *site);
        Self::by_width(&inside.read, |t: &Tensor<2>| t.dims()[1])
            .into_iter()
            .map(|group| Tensor::cat(group.into_iter().map(|(_, t)| t).collect(), 0))
            .collect()
    }
}

impl Probe for Pass<'_> {
    fn wants(&self, site: Site) -> bool {
        (self.program.tapped.contains(&site) && !self.reads.is_empty()) || self.changes(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.program.edits.iter().any(|e| e.site == site)
    }

    fn at(&mut self, site: Site, mut x: Tensor<2>) -> Tensor<2> {
        let all: Vec<usize>;
        let tokens: &[usize] = if site == Site::Logits {
            self.logits
        } else {
            all = (0..self.roles.len()).collect();
            &all
        };
        x = self.program.edit(site, x, |i| {
            let column = self.program.column(i, self.roles, self.strengths, tokens)?;
            let n = column.len();
            Some(Tensor::from_data(TensorData::new(column, [n, 1]), (&self.program.device, DType::F32)))
        });
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
        // Every other operation got its vector in `Program::new`.
        (_, None) => x,
    }
}
