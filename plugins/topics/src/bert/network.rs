//! BERT's encoder (Devlin et al. 2019, arXiv 1810.04805) in Burn, on the processor, in f32: embeddings, then layers of
//! attention over all tokens and a network of two products, each with a residual and a norm behind it.
use super::config::{Activation, BertConfig};
use super::files::told;
use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use friction_checkpoint::weights::TensorSource;
use friction_core::{Error, Result};

/// x W + b.
struct Linear {
    /// `[in, out]`.
    weight: Tensor<2>,
    /// `[1, out]`.
    bias: Tensor<2>,
}

impl Linear {
    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.clone()) + self.bias.clone()
    }
}

/// (x − mean) / √(variance + ε) · w + b over each row (Ba et al. 2016, arXiv 1607.06450).
struct LayerNorm {
    /// `[1, width]`.
    weight: Tensor<2>,
    /// `[1, width]`.
    bias: Tensor<2>,
    eps: f64,
}

impl LayerNorm {
    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        let x = x.clone() - x.mean_dim(1);
        let variance = (x.clone() * x.clone()).mean_dim(1);
        x / (variance + self.eps).sqrt() * self.weight.clone() + self.bias.clone()
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

/// The encoder.
pub(super) struct Bert {
    /// `[vocab, width]`.
    words: Tensor<2>,
    /// `[positions, width]`, with the embedding of the first segment, in which all tokens are.
    positions: Tensor<2>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
    activation: Activation,
    device: Device,
}

/// Reads tensors by their names in transformers' `BertModel`.
struct Reader<'a> {
    source: &'a dyn TensorSource,
    /// `bert.` in a checkpoint of a model that holds the encoder as a part.
    prefix: &'a str,
    device: Device,
    eps: f64,
}

impl Reader<'_> {
    fn tensor(&self, name: &str, shape: &[usize], as_rows: [usize; 2]) -> Result<Tensor<2>> {
        let values = self.source.f32(&format!("{}{name}", self.prefix), shape).map_err(told)?;
        Ok(Tensor::from_data(TensorData::new(values, as_rows), (&self.device, DType::F32)))
    }

    fn table(&self, name: &str, rows: usize, width: usize) -> Result<Tensor<2>> {
        self.tensor(name, &[rows, width], [rows, width])
    }

    fn row(&self, name: &str, width: usize) -> Result<Tensor<2>> {
        self.tensor(name, &[width], [1, width])
    }

    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Linear> {
        let weight = self.table(&format!("{name}.weight"), to, from)?.transpose();
        Ok(Linear { weight, bias: self.row(&format!("{name}.bias"), to)? })
    }

    fn norm(&self, name: &str, width: usize) -> Result<LayerNorm> {
        let (weight, bias) = (self.row(&format!("{name}.weight"), width)?, self.row(&format!("{name}.bias"), width)?);
        Ok(LayerNorm { weight, bias, eps: self.eps })
    }

    fn layer(&self, at: usize, width: usize, inner: usize) -> Result<Layer> {
        let name = |part: &str| format!("encoder.layer.{at}.{part}");
        Ok(Layer {
            query: self.linear(&name("attention.self.query"), width, width)?,
            key: self.linear(&name("attention.self.key"), width, width)?,
            value: self.linear(&name("attention.self.value"), width, width)?,
            output: self.linear(&name("attention.output.dense"), width, width)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), width)?,
            up: self.linear(&name("intermediate.dense"), width, inner)?,
            down: self.linear(&name("output.dense"), inner, width)?,
            norm: self.norm(&name("output.LayerNorm"), width)?,
        })
    }
}

impl Bert {
    /// Reads the weights.
    pub fn load(source: &dyn TensorSource, config: &BertConfig) -> Result<Self> {
        let (width, device) = (config.hidden_size, Device::flex());
        let norm = "embeddings.LayerNorm.weight";
        let within = source.f32(norm, &[width]).is_err() && source.f32(&format!("bert.{norm}"), &[width]).is_ok();
        let prefix = if within { "bert." } else { "" };
        let r = Reader { source, prefix, device: device.clone(), eps: config.layer_norm_eps };
        let positions = r.table("embeddings.position_embeddings.weight", config.max_position_embeddings, width)?;
        let segments = r.table("embeddings.token_type_embeddings.weight", config.type_vocab_size, width)?;
        let layers = 0..config.num_hidden_layers;
        Ok(Self {
            words: r.table("embeddings.word_embeddings.weight", config.vocab_size, width)?,
            positions: positions + segments.narrow(0, 0, 1),
            norm: r.norm("embeddings.LayerNorm", width)?,
            layers: layers.map(|at| r.layer(at, width, config.intermediate_size)).collect::<Result<_>>()?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            device,
        })
    }

    /// For each text, of which the ids are given, the mean of the last layer's outputs over its tokens. There must be a
    /// text, and each must have an id.
    pub fn means(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let (rows, longest) = (texts.len(), texts.iter().map(|t| t.len()).max().unwrap_or(0));
        let width = self.words.dims()[1];
        let padded = |text: &&[u32]| {
            let filler = std::iter::repeat_n(0, longest - text.len());
            text.iter().map(|id| i64::from(*id)).chain(filler).collect::<Vec<_>>()
        };
        let ids: Vec<i64> = texts.iter().flat_map(padded).collect();
        let real: Vec<f32> = texts.iter().flat_map(|t| (0..longest).map(|i| f32::from(i < t.len()))).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [rows * longest]), &self.device);
        let real: Tensor<1> = Tensor::from_data(TensorData::new(real, [rows * longest]), (&self.device, DType::F32));

        let words = self.words.clone().select(0, ids).reshape::<3, _>([rows, longest, width]);
        let positions = self.positions.clone().narrow(0, 0, longest).reshape::<3, _>([1, longest, width]);
        let mut x = self.norm.of((words + positions).reshape([rows * longest, width]));
        // A score so low that its weight is exactly 0.
        let padding = (real.clone().reshape::<4, _>([rows, 1, 1, longest]) - 1.0) * 1e9;
        for layer in &self.layers {
            let attended = self.attention(layer, &x, &padding, [rows, longest, width]);
            x = layer.attention_norm.of(layer.output.of(attended) + x);
            let inner = layer.up.of(x.clone());
            let inner = match self.activation {
                Activation::Gelu => activation::gelu(inner),
                Activation::GeluNew => activation::gelu_approximate(inner),
                Activation::Relu => activation::relu(inner),
            };
            x = layer.norm.of(layer.down.of(inner) + x);
        }
        let real = real.reshape::<3, _>([rows, longest, 1]);
        let outputs = x.reshape::<3, _>([rows, longest, width]);
        let means = (outputs * real.clone()).sum_dim(1) / real.sum_dim(1);
        let data = means.try_into_data().map_err(|e| Error::other(format!("{e:?}")))?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        Ok(values.chunks(width).map(<[f32]>::to_vec).collect())
    }

    /// softmax(q kᵀ / √d + padding) v for each head; `x` and the result are `[rows × longest, width]`.
    fn attention(
        &self,
        layer: &Layer,
        x: &Tensor<2>,
        padding: &Tensor<4>,
        [rows, longest, width]: [usize; 3],
    ) -> Tensor<2> {
        let each = width / self.heads;
        let split = |linear: &Linear| -> Tensor<4> {
            linear.of(x.clone()).reshape::<4, _>([rows, longest, self.heads, each]).swap_dims(1, 2)
        };
        let (q, k, v) = (split(&layer.query), split(&layer.key), split(&layer.value));
        let scores = q.matmul(k.swap_dims(2, 3)) / (each as f64).sqrt() + padding.clone();
        activation::softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([rows * longest, width])
    }
}
