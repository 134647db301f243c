//! What an edit computes. All operations but [`EditOp::Custom`] are data: they can be written as JSON, hashed, and run
//! inside decode steps that a GPU records.
#[cfg(feature = "tensors")]
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod check;
mod host;

/// A number read from a token's activations `x`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Readout {
    /// A projection, or a feature of an autoencoder with ReLU or JumpReLU: p = x·vector + bias, and p or 0.
    Linear {
        /// `[width]`, not normalised: a direction, or a feature's column of the encoder.
        vector: Vec<f32>,
        /// Added to x·vector.
        #[serde(default)]
        bias: f32,
        /// The number is p where p is above this, and 0 elsewhere: a JumpReLU; 0 makes it a ReLU. `None`: it is p.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
    },
    /// A feature of a TopK autoencoder: its pre-activation where it is above 0 and fewer than `k` others are larger, and
    /// 0 elsewhere.
    TopK {
        /// Computes all pre-activations.
        #[serde(with = "shared")]
        encoder: Arc<Encoder>,
        /// Index of the feature, from 0.
        feature: usize,
        /// Number of features that are active at once.
        k: usize,
    },
}

/// The encoder of an autoencoder: pre-activations x·weights + bias. If the autoencoder centres its input, the bias
/// holds −b_dec·weights too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// `[width, features]`, row-major.
    pub weights: Vec<f32>,
    /// `[features]`.
    pub bias: Vec<f32>,
}

/// An autoencoder, whose reconstruction is activations·decoder + decoder_bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autoencoder {
    /// Computes pre-activations.
    pub encoder: Encoder,
    /// `[features]`: a feature is active where its pre-activation is above this, which is at least 0.
    pub least: Vec<f32>,
    /// Of a TopK autoencoder, the number of features that are active at once; the others become 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// `[features, width]`, row-major.
    pub decoder: Vec<f32>,
    /// `[width]`.
    pub decoder_bias: Vec<f32>,
}

/// A pure function of activations `[rows, width]` and the rows' strengths `[rows, 1]`, both f32, that returns the
/// changed activations `[rows, width]`.
#[cfg(feature = "tensors")]
pub type EditFn = Arc<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<2> + Send + Sync>;

/// How a token's activations `x` at a site are changed. `s` is the edit's strength for that token's conversation. If it
/// is 0, `x` stays the same bit for bit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EditOp {
    /// x + s·v, where v is the given vector, not normalised.
    Add(Vec<f32>),
    /// x − s·(x·u)u, where u is the given direction divided by its norm. s = 1 removes the component along u.
    Remove(Vec<f32>),
    /// x + s·(value − x·u)u: s = 1 sets the projection on the unit direction u to `value`.
    Project {
        /// The direction. It is divided by its norm to give u.
        direction: Vec<f32>,
        /// The projection x·u that s = 1 sets.
        value: f32,
    },
    /// x + s·(clamp(x·u, min, max) − x·u)u: s = 1 limits the projection to the range from `min` to `max`.
    Clamp {
        /// The direction. It is divided by its norm to give u.
        direction: Vec<f32>,
        /// Lowest projection x·u.
        min: f32,
        /// Highest projection x·u.
        max: f32,
    },
    /// x + s·(clamp(r, min, max) − r)·v, where r is what `read` reads: s = 1 brings r to the range from `min` to `max`
    /// by a push along v, which need not be the direction that is read. Equal bounds set r to a value.
    Push {
        /// Reads r.
        read: Readout,
        /// v, `[width]`, not normalised.
        along: Vec<f32>,
        /// Lowest r; `None` for no lowest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f32>,
        /// Highest r; `None` for no highest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f32>,
    },
    /// x + s·(x̂ − x), where x̂ is the autoencoder's reconstruction of x: s = 1 replaces x by it.
    Reconstruct(#[serde(with = "shared")] Arc<Autoencoder>),
    /// x + s·v, where v is the conversation's own vector for the turn in progress. Where it has none, x stays the same.
    Given {
        /// Number of values of v: the width of the site.
        width: usize,
    },
    /// x + s·(v − x), where v is the conversation's own vector for the turn in progress: s = 1 replaces x by v, bit for
    /// bit. Where it has none, x stays the same.
    Replace {
        /// Number of values of v: the width of the site.
        width: usize,
        /// Identifies where the vectors come from. The run's lock stores a hash of it, and a resume with another digest is
        /// refused.
        digest: String,
    },
    /// Any pure function of Burn tensors that keeps the shape. A dynamic library cannot declare one, and decode steps
    /// of a program that has one are not recorded as a graph.
    #[cfg(feature = "tensors")]
    #[serde(skip)]
    Custom {
        /// The function, called with the rows of a step and their strengths.
        run: EditFn,
        /// Identifies the function. The run's lock stores a hash of it, and a resume with another digest is refused.
        digest: String,
    },
}

impl std::fmt::Debug for EditOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl EditOp {
    /// The operation's name in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            EditOp::Add(_) => "add",
            EditOp::Remove(_) => "remove",
            EditOp::Project { .. } => "project",
            EditOp::Clamp { .. } => "clamp",
            EditOp::Push { .. } => "push",
            EditOp::Reconstruct(_) => "reconstruct",
            EditOp::Given { .. } => "given",
            EditOp::Replace { .. } => "replace",
            #[cfg(feature = "tensors")]
            EditOp::Custom { .. } => "custom",
        }
    }

    /// Whether the operation takes a vector of each conversation's own. Such edits are applied in forks alone
    /// ([`Hook::forks`](crate::Hook::forks)), where a hook gives the vectors.
    pub fn takes_vectors(&self) -> bool {
        matches!(self, EditOp::Given { .. } | EditOp::Replace { .. })
    }

    /// Whether the operation is data, which a recorded decode step can hold. Only [`EditOp::Custom`] is not.
    pub fn is_data(&self) -> bool {
        self.word() != "custom"
    }

    /// Hands all numbers of the operation to `put`, as little-endian bytes in a fixed order, to be hashed.
    pub fn bytes(&self, put: &mut dyn FnMut(&[u8])) {
        match self {
            EditOp::Add(v) | EditOp::Remove(v) => floats(v, put),
            EditOp::Project { direction, value } => {
                floats(direction, put);
                floats(&[*value], put);
            }
            EditOp::Clamp { direction, min, max } => {
                floats(direction, put);
                floats(&[*min, *max], put);
            }
            EditOp::Push { read, along, min, max } => {
                read.bytes(put);
                floats(along, put);
                floats(&[min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY)], put);
            }
            EditOp::Reconstruct(a) => {
                for part in [&a.encoder.weights, &a.encoder.bias, &a.least, &a.decoder, &a.decoder_bias] {
                    floats(part, put);
                }
                put(&(a.k.unwrap_or(0) as u64).to_le_bytes());
            }
            EditOp::Given { width } => put(&(*width as u64).to_le_bytes()),
            EditOp::Replace { width, digest } => {
                put(&(*width as u64).to_le_bytes());
                put(digest.as_bytes());
            }
            #[cfg(feature = "tensors")]
            EditOp::Custom { digest, .. } => put(digest.as_bytes()),
        }
    }
}

impl Readout {
    /// The projection on a direction, divided by its norm.
    pub fn projection(direction: &[f32]) -> Self {
        let norm = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        Self::Linear { vector: direction.iter().map(|x| x / norm).collect(), bias: 0.0, threshold: None }
    }

    /// Hands all numbers to `put`; see [`EditOp::bytes`].
    pub fn bytes(&self, put: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Linear { vector, bias, threshold } => {
                put(b"linear");
                floats(vector, put);
                floats(&[*bias, threshold.unwrap_or(f32::NEG_INFINITY)], put);
            }
            Self::TopK { encoder, feature, k } => {
                put(b"top-k");
                floats(&encoder.weights, put);
                floats(&encoder.bias, put);
                put(&(*feature as u64).to_le_bytes());
                put(&(*k as u64).to_le_bytes());
            }
        }
    }
}

/// Hands floats to `put` as little-endian bytes.
fn floats(values: &[f32], put: &mut dyn FnMut(&[u8])) {
    for part in values.chunks(4096) {
        put(&part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    }
}

/// Serde for a value that several edits share.
mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub fn serialize<S: Serializer, T: Serialize>(v: &Arc<T>, s: S) -> Result<S::Ok, S::Error> {
        (**v).serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(d).map(Arc::new)
    }
}
