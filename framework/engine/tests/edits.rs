//! Edits made of data: each does on a device what it does on the host, recorded steps equal steps that are not, and rows
//! get their own vectors. And: what taps at all tokens of a reply read.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use burn::tensor::{DType, Device, Tensor, TensorData};
use common::options;
use friction_checkpoint::weights::random::RandomWeights;
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing};
use friction_core::program::{Autoencoder, Edit, EditAt, EditOp, Encoder, Readout};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::hooks::{Program, TokenRole};
use friction_engine::{Dialogue, Doses, Engine, Error, Flow, Given, Request, Result, TapRows, TurnOutcome, Unit};
use friction_model::decoder::{Hooks, Wish};
use friction_model::{Model, Probe, testing as devices};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

const WIDTH: usize = 32;

/// Numbers without a pattern, from −1 to 1.
fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7 + phase * 2.3 + (i * i) as f32 * 0.01).sin()).collect()
}

fn encoder(features: usize) -> Encoder {
    Encoder { weights: wave(WIDTH * features, 0.3), bias: wave(features, 4.0) }
}

fn autoencoder(features: usize, k: Option<usize>) -> EditOp {
    EditOp::Reconstruct(Arc::new(Autoencoder {
        encoder: encoder(features),
        least: wave(features, 1.0).iter().map(|t| t.max(0.0)).collect(),
        k,
        decoder: wave(WIDTH * features, 0.9),
        decoder_bias: wave(WIDTH, 2.0),
    }))
}

/// A feature that is active in some of the rows of [`rows`].
fn feature(threshold: f32) -> Readout {
    Readout::Linear { vector: wave(WIDTH, 0.3), bias: 0.1, threshold: Some(threshold) }
}

/// One of each operation, and some in several forms.
fn operations() -> Vec<EditOp> {
    let v = || wave(WIDTH, 5.0);
    let top = |feature| Readout::TopK { encoder: Arc::new(encoder(20)), feature, k: 4 };
    let push = |read, min, max| EditOp::Push { read, along: wave(WIDTH, 6.0), min, max };
    vec![
        EditOp::Add(v()),
        EditOp::Remove(v()),
        EditOp::Project { direction: v(), value: 1.5 },
        EditOp::Clamp { direction: v(), min: -0.3, max: 0.2 },
        push(Readout::projection(&v()), None, Some(-0.1)),
        push(Readout::projection(&v()), Some(0.4), None),
        push(feature(0.2), Some(2.0), Some(2.0)),
        push(feature(0.0), None, Some(0.5)),
        push(top(3), Some(0.7), Some(0.7)),
        push(top(5), None, Some(0.0)),
        autoencoder(20, None),
        autoencoder(300, None),
        autoencoder(20, Some(5)),
        EditOp::Given { width: WIDTH },
        EditOp::Replace { width: WIDTH, digest: String::new() },
    ]
}

fn edit(name: &str, site: Site, op: EditOp) -> Edit {
    Edit { name: name.into(), site, at: EditAt::All, turns: None, gate: None, op }
}

fn tensor(v: Vec<f32>, rows: usize) -> Tensor<2> {
    let width = v.len() / rows;
    Tensor::from_data(TensorData::new(v, [rows, width]), (&devices::device().unwrap(), DType::F32))
}

fn values(x: Tensor<2>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

const ROWS: usize = 7;

fn rows() -> Vec<f32> {
    wave(ROWS * WIDTH, 3.0)
}

/// Strengths and vectors of the rows: some are left as they are, and one has a strength but no vector.
fn doses(edits: usize) -> Vec<Doses> {
    let strength = [0.0, 1.0, 0.5, 1.0, -2.0, 1.0, 0.0];
    let own = |row: usize| (row != 3).then(|| Arc::from(wave(WIDTH, row as f32)));
    (0..ROWS).map(|row| Doses { strengths: vec![strength[row]; edits], given: vec![own(row); edits] }).collect()
}

fn roles() -> Vec<TokenRole> {
    (0..ROWS).map(|row| TokenRole { row, replying: row % 2 == 0, left: 2usize.checked_sub(row) }).collect()
}

/// The rows after a pass that is not recorded.
fn passed(program: &Program, doses: &[Doses], site: Site) -> Vec<f32> {
    let roles = roles();
    let all: Vec<usize> = (0..ROWS).collect();
    let mut pass = program.pass(&roles, doses, &[], &all);
    values(pass.at(site, tensor(rows(), ROWS)))
}

#[test]
fn devices_compute_what_edits_say() {
    let program = |edit: Edit| HookProgram { edits: vec![edit], ..HookProgram::default() };
    for (op, gate) in operations().into_iter().flat_map(|op| [(op.clone(), None), (op, Some(feature(0.3)))]) {
        let given = op.takes_vectors();
        let mut doses = doses(1);
        if !given {
            doses.iter_mut().for_each(|d| d.given.clear());
        }
        let program = program(Edit { gate: gate.clone(), ..edit("e", Site::Embed, op.clone()) });
        let got = passed(&Program::new(&program, &devices::device().unwrap()), &doses, Site::Embed);
        let mut moved = 0;
        for ((x, got), doses) in rows().chunks(WIDTH).zip(got.chunks(WIDTH)).zip(&doses) {
            let open = gate.as_ref().is_none_or(|g| g.of(x) > 0.0);
            let own = doses.given.first().cloned().flatten();
            let s = if open && (!given || own.is_some()) { doses.strengths[0] } else { 0.0 };
            if s == 0.0 {
                assert_eq!(x, got, "{op:?}: a row that is left as it is");
                continue;
            }
            let want = op.on_host(x, s, own.as_deref()).unwrap();
            moved += usize::from(want != x);
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{op:?}, strength {s}: {got} {want}");
            }
        }
        assert!(moved > 0 || gate.is_some(), "{op:?} changes a row");
    }
}

/// What the device holds of a wish when it replays a step.
fn buffers(wish: &Wish, widths: &[usize]) -> (Vec<Tensor<2>>, Vec<Tensor<2>>) {
    let strengths = wish.strengths.chunks(ROWS).map(|c| tensor(c.to_vec(), ROWS)).collect();
    let given = wish.given.chunks(ROWS).zip(widths).map(|(rows, width)| {
        let of = |v: &Given| v.as_ref().map_or_else(|| vec![0.0; *width], |v| v.to_vec());
        tensor(rows.iter().flat_map(of).collect(), ROWS)
    });
    (strengths, given.collect())
}

/// Rows that are equal: on a GPU up to rounding, since edits in a row are computed as one kernel there or as several.
fn same(got: &[f32], want: &[f32]) {
    if devices::device().unwrap() == Device::flex() {
        return assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
    for (row, (got, want)) in got.chunks(WIDTH).zip(want.chunks(WIDTH)).enumerate() {
        let square = |v: f32| f64::from(v) * f64::from(v);
        let off: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
        let size: f64 = want.iter().copied().map(square).sum();
        assert!(off <= 1e-10 * size, "row {row}: {off:e} of {size:e}");
    }
}

#[test]
fn recorded_steps_equal_steps_that_are_not() {
    let at = [EditAt::All, EditAt::Reply, EditAt::Prompt, EditAt::PromptEnd];
    let named = |(i, op)| {
        let gate = (i % 3 == 1).then(|| feature(0.3));
        Edit { at: at[i % 4], gate, ..edit(&format!("e{i}"), [Site::Embed, Site::ResidPost(1)][i % 2], op) }
    };
    let edits: Vec<Edit> = operations().into_iter().chain(operations()).enumerate().map(named).collect();
    let unstored = vec![Tap { site: Site::ResidPost(1), position: Position::All }];
    let taps = vec![Tap { site: Site::Embed, position: Position::All }];
    let n = edits.len();
    let program = HookProgram { taps, unstored, readings: vec!["r".into()], edits, ..HookProgram::default() };
    let program = Program::new(&program, &devices::device().unwrap());
    assert!(program.records(), "all of them are data");
    let widths = program.given();
    assert_eq!((program.columns(), &widths[..]), (n, &[WIDTH; 4][..]));
    let (roles, doses, all) = (roles(), doses(n), (0..ROWS).collect::<Vec<_>>());
    let wish = program.wish(&roles, &doses, &all);
    let (strengths, given) = buffers(&wish, &widths);
    let mut through = vec![];
    let taken = program.run(&strengths, &given, true, &mut |probe: &mut dyn Probe| {
        through = [Site::Embed, Site::ResidPost(1)].map(|s| values(probe.at(s, tensor(rows(), ROWS)))).to_vec();
    });
    let mut pass = program.pass(&roles, &doses, &all, &all);
    let plain = [Site::Embed, Site::ResidPost(1)].map(|s| values(pass.at(s, tensor(rows(), ROWS))));
    for (got, want) in through.iter().zip(&plain) {
        same(got, want);
    }
    assert!(through.iter().all(|x| *x != rows()), "both sites are changed");
    // Both kinds of taps are read.
    let taken: Vec<Vec<f32>> = taken.into_iter().map(values).collect();
    let (taken, read) = (program.taken(&taken, &all, &all, |_| WIDTH), pass.finish());
    assert_eq!((taken.len(), read.len()), (2, 2));
    for ((site, got), (of, want)) in taken.iter().zip(&read) {
        assert_eq!(site, of);
        same(&got.concat(), &want.concat());
    }
    // A step that edits nothing needs no buffers.
    let none = program.wish(&roles, &vec![Doses::default(); ROWS], &[]);
    assert!(none.strengths.is_empty() && none.given.is_empty() && none.reads.is_empty());
}

type Log = Rc<RefCell<Vec<TurnOutcome>>>;

/// Says two messages; the reply to the first may be forced.
struct Talk {
    doses: Doses,
    forced: String,
    history: Vec<ChatMessage>,
    log: Log,
}

impl Dialogue for Talk {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        let said = self.log.borrow().len();
        if said == 2 {
            return Ok(None);
        }
        self.history.push(ChatMessage::user("what is it?"));
        // Another vector in each turn.
        let turn = said as f32 + 1.0;
        let of = |v: &Given| v.as_ref().map(|v| v.iter().map(|x| x * turn).collect());
        let given = self.doses.given.iter().map(of).collect();
        let doses = Doses { given, strengths: self.doses.strengths.clone() };
        let forced = Some(self.forced.clone()).filter(|text| said == 0 && !text.is_empty());
        Ok(Some(Request { messages: self.history.clone(), forced, doses, max_new_tokens: 6, ..Request::default() }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        self.history.push(ChatMessage::assistant("it."));
        self.log.borrow_mut().push(TurnOutcome { elapsed_ms: 0.0, reused_tokens: 0, ..o });
        Ok(())
    }
}

/// Runs one unit of conversations.
fn held(program: &HookProgram, all: Vec<(Doses, String)>) -> Result<Vec<Vec<TurnOutcome>>> {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    let options = options(all.len());
    let engine = Engine::new(&model, &tokenizer, &template, program, options).unwrap();
    let logs: Vec<Log> = all.iter().map(|_| Rc::default()).collect();
    let talk = |((doses, forced), log): ((Doses, String), &Log)| {
        Box::new(Talk { doses, forced, history: vec![], log: log.clone() }) as Box<dyn Dialogue>
    };
    let dialogues = all.into_iter().zip(&logs).map(talk).collect();
    engine.run([Unit { index: 0, dialogues }], |_| Ok(()), |_| Flow::Continue)?;
    Ok(logs.iter().map(|l| l.borrow().clone()).collect())
}

fn tapped(edits: Vec<Edit>) -> HookProgram {
    let tap = |site, position| Tap { site, position };
    HookProgram {
        taps: vec![tap(Site::ResidPost(6), Position::ReplyMean)],
        unstored: vec![
            tap(Site::ResidPost(6), Position::ReplyAll),
            tap(Site::ResidPost(6), Position::ReplyMean),
            tap(Site::ResidPost(2), Position::PromptEnd),
        ],
        readings: vec!["r".into()],
        edits,
        ..HookProgram::default()
    }
}

#[test]
fn each_conversation_gets_its_own_vector() {
    let own = tapped(vec![edit("own", Site::ResidPost(2), EditOp::Given { width: WIDTH })]);
    let vector = |phase| wave(WIDTH, phase).iter().map(|x| 3.0 * x).collect::<Vec<f32>>();
    let given = |v: Option<Vec<f32>>| Doses { strengths: vec![1.0], given: vec![v.map(Arc::from)] };
    let all = vec![given(Some(vector(1.0))), given(None), given(Some(vector(2.0))), given(Some(vector(1.0)))];
    let got = held(&own, all.into_iter().map(|d| (d, String::new())).collect()).unwrap();
    // The same vectors as edits of the program; in turn 2 twice as long, which is a strength of 2.
    let added = |phase| -> TurnOutcome {
        let add = tapped(vec![edit("add", Site::ResidPost(2), EditOp::Add(vector(phase)))]);
        let doses = Doses { strengths: vec![1.0], given: vec![] };
        held(&add, vec![(doses, String::new())]).unwrap()[0][0].clone()
    };
    let plain = held(&tapped(vec![]), vec![(Doses::default(), String::new())]).unwrap();
    let near = |a: &TurnOutcome, b: &TurnOutcome| {
        let flat = |o: &TurnOutcome| o.taps.iter().flat_map(|t| t.rows.concat()).collect::<Vec<f32>>();
        a.ids == b.ids && flat(a).iter().zip(flat(b)).all(|(x, y)| (x - y).abs() <= 1e-3 * x.abs().max(1.0))
    };
    for (conversation, want) in [(0, added(1.0)), (1, plain[0][0].clone()), (2, added(2.0)), (3, added(1.0))] {
        assert!(near(&got[conversation][0], &want), "conversation {conversation}");
    }
    assert!(near(&got[1][1], &plain[0][1]));
    assert!(!near(&got[0][0], &got[2][0]) && !near(&got[0][0], &got[1][0]));
    // Turn 2 has a vector of its own: at `prompt-end` the push is twice as long.
    let end = |o: &TurnOutcome| o.taps[2].rows[0].clone();
    assert_eq!(got[0][0].taps[2].tap.site, Site::ResidPost(2));
    let longer = end(&got[0][1]).iter().zip(end(&got[1][1])).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let push = vector(1.0).iter().map(|x| x * x).sum::<f32>().sqrt();
    // Earlier blocks see the pushed history too, so this is no exact number.
    assert!((longer / push - 2.0).abs() < 0.5, "{longer} {push}");
}

#[test]
fn vectors_that_do_not_fit_stop_the_run() {
    let own = tapped(vec![edit("own", Site::ResidPost(2), EditOp::Given { width: WIDTH })]);
    let doses = |v: Vec<f32>| Doses { strengths: vec![1.0], given: vec![Some(v.into())] };
    let e = held(&own, vec![(doses(vec![1.0; 3]), String::new())]).unwrap_err();
    assert!(matches!(&e, Error::Given { what, .. } if what.contains("`own` takes vectors of width 32")), "{e}");
    let add = tapped(vec![edit("add", Site::ResidPost(2), EditOp::Add(vec![1.0; WIDTH]))]);
    let e = held(&add, vec![(doses(vec![1.0; WIDTH]), String::new())]).unwrap_err();
    assert!(e.to_string().contains("`add` has a vector already"), "{e}");
}

/// Also of a reply that is given (replayed), whose last token is read too.
#[test]
fn every_token_of_a_reply_is_read_once() {
    let said = "it is so".to_string();
    let got = held(&tapped(vec![]), vec![(Doses::default(), said.clone()), (Doses::default(), String::new())]).unwrap();
    assert_eq!(got[0][0].text, said);
    for outcome in got.iter().flatten() {
        let [mean, all, end]: &[TapRows; 3] = outcome.taps.as_slice().try_into().unwrap();
        assert_eq!(
            (mean.tap.position, all.tap.position, end.tap.position),
            (Position::ReplyMean, Position::ReplyAll, Position::PromptEnd)
        );
        assert_eq!(all.rows.len(), outcome.ids.len());
        assert!(!all.rows.is_empty());
        for (i, mean) in mean.rows[0].iter().enumerate() {
            let sum: f64 = all.rows.iter().map(|r| f64::from(r[i])).sum();
            assert!((sum / all.rows.len() as f64 - f64::from(*mean)).abs() < 1e-5);
        }
    }
}
