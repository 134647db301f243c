//! Applies a hook program to a forward pass: edits with each row's strength and vectors, and taps of chosen rows.
use crate::ops::{Op, Uploads};
use crate::reach::{Compiled, given};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_core::program::EditAt;
use friction_core::{EditOp, HookProgram, Site};
use friction_model::Probe;
use friction_model::decoder::{Hooks, Wish};
use friction_model::model::floats;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use crate::reach::{Doses, Given, TokenRole};

/// A hook program whose vectors are on a device.
pub struct Program {
    edits: Vec<Compiled>,
    tapped: BTreeSet<Site>,
    device: Device,
}

/// What the tokens of a step give to an edit: strengths `[tokens, 1]`, and, if it takes them, vectors `[tokens, width]`.
type Inputs = (Tensor<2>, Option<Tensor<2>>);

impl Program {
    /// Uploads the program's vectors to `device`, divided by their norm where the operation needs a unit vector.
    pub fn new(program: &HookProgram, device: &Device) -> Self {
        let mut uploads = Uploads::new(device);
        let mut count = 0;
        let mut compiled = |e: &friction_core::Edit| Compiled {
            name: e.name.clone(),
            site: e.site,
            at: e.at,
            gate: e.gate.as_ref().map(|g| uploads.read(g)),
            op: uploads.op(&e.op),
            given: match e.op {
                EditOp::Given { width } | EditOp::Replace { width, .. } => {
                    count += 1;
                    Some((count - 1, width))
                }
                _ => None,
            },
        };
        let edits = program.edits.iter().map(&mut compiled).collect();
        Self { edits, tapped: program.all_taps().map(|t| t.site).collect(), device: device.clone() }
    }

    /// Whether the whole program can run inside a recorded step (CUDA graph). Custom edits cannot: they may need the
    /// host.
    pub fn records(&self) -> bool {
        self.edits.iter().all(|e| !matches!(e.op, Op::Custom(_)))
    }

    /// Checks the vectors that a conversation gives. The error names the edit, its width and what was given.
    pub(crate) fn fits(&self, doses: &Doses) -> Result<(), String> {
        for (i, v) in doses.given.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?))) {
            let Some(edit) = self.edits.get(i) else { return Err(format!("there is no edit {i} to give a vector to")) };
            match edit.given {
                None => return Err(format!("the edit `{}` has a vector already, and another is given", edit.name)),
                Some((_, width)) => {
                    let (name, got, most) = (&edit.name, v.len(), edit.tokens());
                    if most == 1 && got != width {
                        return Err(format!(
                            "the edit `{name}` takes vectors of width {width}, and one of {got} is given"
                        ));
                    }
                    if got == 0 || !got.is_multiple_of(width) || got / width > most {
                        return Err(format!(
                            "the edit `{name}` takes up to {most} vectors of width {width}, and {got} values are given"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Number of tokens at the end of a prompt that edits change for one conversation alone, or in one turn alone: they
    /// must be computed, and what a cache holds of them is not theirs. 0 if there are none.
    pub(crate) fn tail(&self, doses: &Doses) -> usize {
        let on = |i: &usize| doses.strengths.get(*i).is_some_and(|s| *s != 0.0);
        let of = |i: usize| {
            let edit = &self.edits[i];
            match (edit.at, edit.given) {
                (EditAt::PromptTail(_), Some((_, width))) => given(doses, i).map_or(0, |v| v.len() / width),
                (EditAt::PromptTail(n), None) => n,
                _ => 0,
            }
        };
        (0..self.edits.len()).filter(on).map(of).max().unwrap_or(0)
    }

    /// Names and strengths of the edits at a site whose strength is not 0.
    pub(crate) fn strong(&self, site: Site, doses: &Doses) -> Vec<(String, f32)> {
        let on = self.edits.iter().zip(&doses.strengths).filter(|(e, s)| e.site == site && **s != 0.0);
        on.map(|(e, s)| (e.name.clone(), *s)).collect()
    }

    /// What the program asks of a decode step, which has one token a row. `roles`, `doses` and `reads` are as for
    /// [`Self::pass`].
    pub fn wish(&self, roles: &[TokenRole], doses: &[Doses], reads: &[usize]) -> Wish {
        let tokens: Vec<usize> = (0..roles.len()).collect();
        let columns: Vec<_> = (0..self.edits.len()).map(|e| self.column(e, roles, doses, &tokens)).collect();
        let reads = if self.tapped.is_empty() { vec![] } else { reads.to_vec() };
        let mut wish = Wish { reads, ..Wish::default() };
        if columns.iter().any(Option::is_some) {
            let zeros = || vec![0.0; roles.len()];
            wish.strengths = columns.into_iter().flat_map(|c| c.unwrap_or_else(zeros)).collect();
            let takes = self.edits.iter().enumerate().filter(|(_, e)| e.given.is_some());
            wish.given = takes.flat_map(|(i, _)| roles.iter().map(move |r| self.vector(i, *r, doses))).collect();
        }
        wish
    }

    /// The vector of an edit that is a token's own.
    fn vector(&self, edit: usize, role: TokenRole, doses: &[Doses]) -> Given {
        let (all, (_, width)) = (given(&doses[role.row], edit)?, self.edits[edit].given?);
        let row = self.edits[edit].row(all.len() / width, role)?;
        // Told by its address, a single vector is uploaded once for all steps.
        if all.len() == width { Some(all.clone()) } else { all.get(row * width..(row + 1) * width).map(Arc::from) }
    }

    /// Strength of an edit for each of `tokens`; `None` if all are 0.
    fn column(&self, edit: usize, roles: &[TokenRole], doses: &[Doses], tokens: &[usize]) -> Option<Vec<f32>> {
        let compiled = &self.edits[edit];
        let column: Vec<f32> = tokens
            .iter()
            .map(|t| {
                let role = roles[*t];
                let of = &doses[role.row];
                let able = compiled.given.is_none_or(|(_, width)| {
                    given(of, edit).is_some_and(|v| compiled.row(v.len() / width, role).is_some())
                });
                if compiled.reaches(role) && able { of.strengths.get(edit).copied().unwrap_or(0.0) } else { 0.0 }
            })
            .collect();
        column.iter().any(|s| *s != 0.0).then_some(column)
    }

    /// The vectors of an edit that are the tokens' own, `[tokens, width]`; `None` for edits of other kinds. Those of a
    /// conversation are uploaded once.
    fn own(&self, edit: usize, roles: &[TokenRole], doses: &[Doses], tokens: &[usize]) -> Option<Tensor<2>> {
        let compiled = &self.edits[edit];
        let (_, width) = compiled.given?;
        // The first row of a conversation's, and their number. One without vectors has a row of zeros.
        let (mut table, mut places) = (Vec::<f32>::new(), vec![]);
        for of in doses {
            let first = table.len() / width;
            match given(of, edit) {
                Some(v) => table.extend_from_slice(v),
                None => table.resize(table.len() + width, 0.0),
            }
            places.push((first, table.len() / width - first));
        }
        let rows = table.len() / width;
        let table = Tensor::<2>::from_data(TensorData::new(table, [rows, width]), (&self.device, DType::F32));
        let row = |t: &usize| {
            let (first, count) = places[roles[*t].row];
            (first + compiled.row(count, roles[*t]).unwrap_or(0)) as i64
        };
        Some(table.select(0, self.indices(tokens.iter().map(row).collect())))
    }

    fn indices(&self, of: Vec<i64>) -> Tensor<1, Int> {
        let n = of.len();
        Tensor::from_data(TensorData::new(of, [n]), &self.device)
    }

    fn edit(&self, site: Site, mut x: Tensor<2>, mut inputs: impl FnMut(usize) -> Option<Inputs>) -> Tensor<2> {
        for (i, edit) in self.edits.iter().enumerate().filter(|(_, e)| e.site == site) {
            let Some((mut s, given)) = inputs(i) else { continue };
            if let Some(gate) = &edit.gate {
                let closed = gate.of(&x).lower_equal_elem(0.0);
                s = s.mask_fill(closed, 0.0);
            }
            let untouched = s.clone().equal_elem(0.0).expand(x.dims());
            let y = edit.op.apply(x.clone(), s, given);
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

    /// Prepares a forward pass. `roles` has an entry for each token, `doses` one for each row that a role names. `reads`
    /// holds the indices of the tokens whose activations are wanted, `logits` those of the tokens whose logits are
    /// computed.
    pub fn pass<'a>(
        &'a self,
        roles: &'a [TokenRole],
        doses: &'a [Doses],
        reads: &'a [usize],
        logits: &'a [usize],
    ) -> Pass<'a> {
        Pass { program: self, roles, doses, reads, logits, read: vec![] }
    }
}

/// One forward pass to which a program is applied.
pub struct Pass<'a> {
    program: &'a Program,
    roles: &'a [TokenRole],
    doses: &'a [Doses],
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

/// A recorded step to which a program is applied: strengths and given vectors are buffers on the device, and every row
/// of a tapped site is read.
struct Inside<'a> {
    program: &'a Program,
    strengths: &'a [Tensor<2>],
    given: &'a [Tensor<2>],
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
        let x = self.program.edit(site, x, |i| {
            let own = self.program.edits[i].given.and_then(|(n, _)| self.given.get(n).cloned());
            Some((self.strengths.get(i)?.clone(), own))
        });
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

    fn given(&self) -> Vec<usize> {
        self.edits.iter().filter_map(|e| Some(e.given?.1)).collect()
    }

    fn run(
        &self,
        strengths: &[Tensor<2>],
        given: &[Tensor<2>],
        tapped: bool,
        pass: &mut dyn FnMut(&mut dyn Probe),
    ) -> Vec<Tensor<2>> {
        let mut inside = Inside { program: self, strengths, given, tapped, read: vec![] };
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
        let (program, roles, doses) = (self.program, self.roles, self.doses);
        x = program.edit(site, x, |i| {
            let column = program.column(i, roles, doses, tokens)?;
            let n = column.len();
            let s = Tensor::from_data(TensorData::new(column, [n, 1]), (&program.device, DType::F32));
            Some((s, program.own(i, roles, doses, tokens)))
        });
        if self.program.tapped.contains(&site) && !self.reads.is_empty() {
            let rows: Vec<i64> =
                self.reads.iter().map(|t| tokens.iter().position(|k| k == t).map_or(0, |p| p as i64)).collect();
            self.read.push((site, x.clone().select(0, self.program.indices(rows))));
        }
        x
    }
}
