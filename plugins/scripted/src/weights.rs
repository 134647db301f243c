//! The weights, built by hand. All numbers that decide are 0, 1 or far apart.
//!
//! The residual stream has one dimension for each thing that is known of a token, with the value 1 where it is so:
//! `one` (always), the token's [`Kind`], and what the layers add:
//!
//! 0. Attention to the token before (RoPE alone, no content) tells whether it opens a turn; the MLP marks the word `user`
//!    where it does. This layer slides.
//! 1. One head attends to the last `[say X]` or beginning of a user message, whichever is later, and copies which it was;
//!    the other to the last `[default X]` or the begin of the text. "Last" is a slow rotation of RoPE: scores fall with
//!    the distance by far more than a softmax can blur. The MLP puts X of the default where nothing was said.
//! 2. The MLP is the table of [`crate::replies`]: X and the token before give the logits of the next. Its attention is
//!    zero.
use crate::replies::Logits;
use crate::vocab::{Kind, Vocab};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Width of the residual stream.
pub const HIDDEN: usize = 288;
/// Width of the MLPs.
const INTERMEDIATE: usize = 576;
const HEADS: usize = 2;
const HEAD: usize = 64;
/// Longest context: beyond it, the slow rotation comes round.
pub const CONTEXT: usize = 16_384;
/// Bases of RoPE of full and of sliding layers.
const THETA: [f64; 2] = [1e6, 1e4];
/// Pairs of dimensions of a head: pair i turns by THETA^(−i / 32) for each token.
const PAIRS: usize = HEAD / 2;
/// The pair that tells distances in layer 1: 7.5e-5 for each token, 1.23 over the longest context.
const SLOW: usize = 22;
/// The pair that turns least.
const STILL: usize = 31;
/// Norm of what layer 2 adds to the stream. It is the same for all replies, so that logits are not scaled.
const NORM: f32 = 64.0;
/// Logit of tokens that are no words of replies.
const OTHER: f32 = -6.0;
/// Sharpness of the MLPs' gates: a gate that is closed has −30 or less, where GELU is 0 in f32.
const SHARP: f32 = 8.0;

/// Dimensions of the residual stream.
struct Dims {
    kinds: BTreeMap<Kind, usize>,
    /// First dimension of what the last user message says: nothing, then each X.
    say: usize,
    /// First dimension of the default: none, then each X.
    default: usize,
}
const ONE: usize = 0;
const OPENED: usize = 1;
const MARK: usize = 2;
const SLACK: usize = 3;

impl Dims {
    fn new(vocab: &Vocab) -> Self {
        let kinds: BTreeSet<&Kind> = vocab.kinds.iter().collect();
        let kinds: BTreeMap<Kind, usize> = kinds.into_iter().cloned().zip(SLACK + 1..).collect();
        let say = SLACK + 1 + kinds.len();
        Self { say, default: say + 1 + vocab.replies.len(), kinds }
    }
    fn kind(&self, kind: &Kind) -> usize {
        self.kinds.get(kind).copied().unwrap_or(SLACK)
    }
    fn word(&self, word: &str) -> usize {
        self.kind(&Kind::Word(word.into()))
    }
}

/// The dimension of the residual stream at which `resid_post.1` is 1 where the reply called `name` is meant.
pub fn meant(vocab: &Vocab, name: &str) -> Option<usize> {
    let at = vocab.replies.iter().position(|r| r.name == name)?;
    Some(Dims::new(vocab).say + 1 + at)
}

/// The dimension of the residual stream at which `resid_post.2` is the logit of a word of replies, such as `The` or ` A`.
pub fn spoken(vocab: &Vocab, word: &str) -> Option<usize> {
    Dims::new(vocab).kinds.get(&Kind::Word(word.into())).copied()
}

/// A matrix `[out, in]`, zero at first.
struct Matrix {
    width: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn new(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width] }
    }
    fn set(&mut self, row: usize, col: usize, value: f32) {
        self.values[row * self.width + col] = value;
    }
    fn add(&mut self, row: usize, col: usize, value: f32) {
        self.values[row * self.width + col] += value;
    }
}

/// One layer.
struct Layer {
    q: Matrix,
    k: Matrix,
    v: Matrix,
    o: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    /// Factors of the norms of q and k.
    sharp: f32,
    /// Factors of the norms after attention and after the MLP.
    post: [f32; 2],
    units: usize,
}

impl Layer {
    fn new() -> Self {
        let heads = HEADS * HEAD;
        Self {
            q: Matrix::new(heads, HIDDEN),
            k: Matrix::new(heads, HIDDEN),
            v: Matrix::new(heads, HIDDEN),
            o: Matrix::new(HIDDEN, heads),
            gate: Matrix::new(INTERMEDIATE, HIDDEN),
            up: Matrix::new(INTERMEDIATE, HIDDEN),
            down: Matrix::new(HIDDEN, INTERMEDIATE),
            sharp: 1.0,
            post: [1.0; 2],
            units: 0,
        }
    }

    /// A unit that is on where all of `all` and none of `none` are 1, and adds `adds` then. All units that are on add
    /// with the same factor.
    fn unit(&mut self, all: &[usize], none: &[usize], adds: &[(usize, f32)]) {
        let at = self.units;
        self.units += 1;
        all.iter().for_each(|d| self.gate.add(at, *d, SHARP));
        none.iter().for_each(|d| self.gate.add(at, *d, -SHARP));
        self.gate.add(at, ONE, SHARP * (0.5 - all.len() as f32));
        self.up.set(at, ONE, 1.0);
        adds.iter().for_each(|(d, by)| self.down.add(*d, at, *by));
    }
}

/// A number that is the same on every machine: functions like the cosine differ in their last digits.
fn coarse(x: f64) -> f32 {
    ((x * 1024.0).round() / 1024.0) as f32
}

/// The factor of an RMSNorm after which `n` equal numbers are 1 each.
fn to_one(n: usize) -> f32 {
    (n as f32 / HIDDEN as f32).sqrt()
}

/// Layer 0: marks the beginnings of user messages.
fn openings(d: &Dims) -> Layer {
    let mut l = Layer::new();
    for i in 0..PAIRS {
        // The score of a distance is Σ cos((distance − 1) · turn): largest at 1.
        let turn = THETA[1].powf(-(i as f64) / PAIRS as f64);
        l.q.set(i, ONE, coarse(turn.cos()));
        l.q.set(PAIRS + i, ONE, coarse(-turn.sin()));
        l.k.set(i, ONE, 1.0);
    }
    l.sharp = 16.0;
    l.v.set(0, d.kind(&Kind::Open), 1.0);
    l.o.set(OPENED, 0, 1.0);
    l.unit(&[d.kind(&Kind::User), OPENED], &[], &[(MARK, 1.0)]);
    l.post = [to_one(1); 2];
    l
}

/// Layer 1: what is asked for.
fn cues(d: &Dims, vocab: &Vocab) -> Layer {
    let mut l = Layer::new();
    let begin = d.kind(&Kind::Begin);
    let replies = 0..vocab.replies.len();
    let say: Vec<usize> = replies.clone().map(|i| d.kind(&Kind::Say(i))).collect();
    let default: Vec<usize> = replies.map(|i| d.kind(&Kind::Default(i))).collect();
    for (head, (cues, mark, to)) in [(&say, Some(MARK), d.say), (&default, None, d.default)].into_iter().enumerate() {
        let first = head * HEAD;
        // The score of a cue is −sin(distance · turn), that of all else −1, times a large number.
        l.q.set(first + PAIRS + SLOW, ONE, 1.0);
        l.q.set(first + STILL, ONE, -1.0);
        l.k.set(first + STILL, ONE, 1.0);
        for cue in cues.iter().copied().chain([begin]).chain(mark) {
            l.k.set(first + STILL, cue, -1.0);
            l.k.set(first + SLOW, cue, 1.0);
        }
        l.v.set(first, begin, 1.0);
        if let Some(mark) = mark {
            // A marked token has four numbers, other tokens two: the norm before makes them smaller by √2.
            l.v.set(first, mark, std::f32::consts::SQRT_2);
        }
        cues.iter().enumerate().for_each(|(i, cue)| l.v.set(first + 1 + i, *cue, 1.0));
        (0..=cues.len()).for_each(|i| l.o.set(to + i, first + i, 1.0));
    }
    l.sharp = 420.0;
    for i in 1..=vocab.replies.len() {
        l.unit(&[d.say, d.default + i], &[], &[(d.say + i, 1.0), (d.say, -1.0)]);
    }
    l.post = [to_one(2); 2];
    l
}

/// What layer 2 adds for these logits, less 1 at the dimension of the token itself.
fn said(d: &Dims, logits: &Logits, own: Option<usize>) -> BTreeMap<usize, f32> {
    let mut out = BTreeMap::from([(d.kind(&Kind::Other), OTHER)]);
    for (word, logit) in logits {
        *out.entry(d.word(word)).or_default() += logit;
    }
    if let Some(own) = own {
        *out.entry(own).or_default() -= 1.0;
    }
    let square: f32 = out.values().map(|x| x * x).sum();
    out.insert(SLACK, (NORM * NORM - square).sqrt());
    out
}

fn less(a: &BTreeMap<usize, f32>, b: &BTreeMap<usize, f32>) -> Vec<(usize, f32)> {
    let dims: BTreeSet<&usize> = a.keys().chain(b.keys()).collect();
    let of = |m: &BTreeMap<usize, f32>, d| m.get(d).copied().unwrap_or(0.0);
    dims.into_iter().map(|dim| (*dim, of(a, dim) - of(b, dim))).collect()
}

/// Layer 2: the next word.
fn words(d: &Dims, vocab: &Vocab) -> Layer {
    let mut l = Layer::new();
    let none = BTreeMap::new();
    // `ok`, unless something else is meant.
    let ok = said(d, &vocab.replies[0].first, None);
    l.unit(&[], &[], &less(&ok, &none));
    let others: Vec<usize> = (1..vocab.replies.len()).map(|i| d.say + 1 + i).collect();
    for (word, logits) in &vocab.replies[0].after {
        l.unit(&[d.word(word)], &others, &less(&said(d, logits, Some(d.word(word))), &ok));
    }
    for (i, reply) in vocab.replies.iter().enumerate().skip(1) {
        let meant = d.say + 1 + i;
        let first = said(d, &reply.first, None);
        l.unit(&[meant], &[], &less(&first, &ok));
        for (word, logits) in &reply.after {
            let next = said(d, logits, Some(d.word(word)));
            l.unit(&[meant, d.word(word)], &[], &less(&next, &first));
        }
    }
    l.post = [1.0, NORM / (HIDDEN as f32).sqrt()];
    l
}

/// The `config.json`.
pub fn config(vocab: &Vocab) -> Value {
    let rope = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
    json!({
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": 3, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "head_dim": HEAD, "vocab_size": vocab.pieces.len(), "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "query_pre_attn_scalar": HEAD,
        "rope_parameters": {"full_attention": rope(THETA[0]), "sliding_attention": rope(THETA[1])},
        "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-6, "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": false, "tie_word_embeddings": true, "bos_token_id": 2, "eos_token_id": [1, 5],
        "pad_token_id": 0
    })
}

/// The `model.safetensors`, in f32.
pub fn safetensors(vocab: &Vocab) -> Vec<u8> {
    let d = Dims::new(vocab);
    let layers = [openings(&d), cues(&d, vocab), words(&d, vocab)];
    // Embeddings are multiplied by √width: 1 each.
    let unit = 1.0 / (HIDDEN as f32).sqrt();
    let mut embed = Matrix::new(vocab.pieces.len(), HIDDEN);
    for (id, kind) in vocab.kinds.iter().enumerate() {
        embed.set(id, ONE, unit);
        embed.set(id, d.kind(kind), unit);
    }
    // A norm's weight w multiplies by 1 + w.
    let norm = |n: usize, factor: f32| (vec![n], vec![factor - 1.0; n]);
    let matrix = |m: Matrix| (vec![m.values.len() / m.width, m.width], m.values);
    let mut all = vec![("model.embed_tokens.weight".to_string(), matrix(embed))];
    // After it the stream's numbers are logits: the embedding is the unembedding too. The stream holds NORM, `one`, what
    // is meant and the default.
    all.push(("model.norm.weight".into(), norm(HIDDEN, (NORM * NORM + 3.0).sqrt())));
    for (i, l) in layers.into_iter().enumerate() {
        let mut add = |name: &str, tensor| all.push((format!("model.layers.{i}.{name}.weight"), tensor));
        add("input_layernorm", norm(HIDDEN, 1.0));
        add("post_attention_layernorm", norm(HIDDEN, l.post[0]));
        add("pre_feedforward_layernorm", norm(HIDDEN, 1.0));
        add("post_feedforward_layernorm", norm(HIDDEN, l.post[1]));
        add("self_attn.q_norm", norm(HEAD, l.sharp));
        add("self_attn.k_norm", norm(HEAD, l.sharp));
        add("self_attn.q_proj", matrix(l.q));
        add("self_attn.k_proj", matrix(l.k));
        add("self_attn.v_proj", matrix(l.v));
        add("self_attn.o_proj", matrix(l.o));
        add("mlp.gate_proj", matrix(l.gate));
        add("mlp.up_proj", matrix(l.up));
        add("mlp.down_proj", matrix(l.down));
    }
    written(&all)
}

/// A tensor: its name, its shape and its values.
pub type Named = (String, (Vec<usize>, Vec<f32>));

/// Tensors in the safetensors format: the header's length, the header, the numbers.
pub fn written(all: &[Named]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), vec![]);
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    for (name, (shape, values)) in all {
        let from = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [from, data.len()]}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::all;

    #[test]
    fn everything_has_a_place() {
        let vocab = Vocab::new(&all());
        let d = Dims::new(&vocab);
        assert!(d.default + 1 + vocab.replies.len() <= HIDDEN, "{}", d.default + 1 + vocab.replies.len());
        assert!(vocab.replies.len() < HEAD);
        for layer in [openings(&d), cues(&d, &vocab), words(&d, &vocab)] {
            assert!((1..=INTERMEDIATE).contains(&layer.units), "{}", layer.units);
        }
        assert_eq!(meant(&vocab, "ok"), Some(d.say + 1));
        assert_eq!(meant(&vocab, "no such reply"), None);
        assert!(spoken(&vocab, " A").is_some() && spoken(&vocab, " unsaid").is_none());
    }
}
