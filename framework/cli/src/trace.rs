//! `friction trace`: writes what the model computes on one sequence, for comparison with other tools.
use crate::error::{CliError, Result};
use burn::tensor::{DType, Tensor};
use friction_checkpoint::{ChatMessage, Checkpoint};
use friction_core::manifest::{BackendKind, ModelDtype};
use friction_core::{Site, plural};
use friction_model::cache::CacheShape;
use friction_model::model::floats;
use friction_model::{Model, NoProbe, Probe, Segment, Step, device};
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model: hf:…, path:…, gguf:… or random:…
    #[arg(long)]
    model: String,
    /// Device: cpu, cuda or wgpu.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// Number format of the products: f32, bf16 or f16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// A tokenizer.json to use instead of the model's.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// The sequence as token ids, separated by commas.
    #[arg(long, group = "input")]
    ids: Option<String>,
    /// The sequence as text; it is tokenised and BOS put first.
    #[arg(long, group = "input")]
    text: Option<String>,
    /// The sequence as a chat: a file that holds a JSON list of {"role": "user" | "assistant" | "system", "content": "…"}.
    #[arg(long, group = "input", value_name = "FILE")]
    chat: Option<PathBuf>,
    /// Also generate this many tokens, greedily.
    #[arg(long)]
    greedy: Option<usize>,
    /// The safetensors file to write.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn backend(word: &str) -> Result<BackendKind> {
    match word {
        "cpu" => Ok(BackendKind::Cpu),
        "cuda" => Ok(BackendKind::Cuda),
        "wgpu" => Ok(BackendKind::Wgpu),
        w => Err(CliError::usage(format!("no backend is called `{w}`; there are cpu, cuda and wgpu"))),
    }
}
pub(crate) fn dtype(word: &str) -> Result<ModelDtype> {
    match word {
        "f32" => Ok(ModelDtype::F32),
        "bf16" => Ok(ModelDtype::Bf16),
        "f16" => Ok(ModelDtype::F16),
        w => Err(CliError::usage(format!("no dtype is called `{w}`; there are f32, bf16 and f16"))),
    }
}

/// Reads the chat in a file.
fn chat(path: &Path) -> Result<Vec<ChatMessage>> {
    let wrong = |what: &dyn std::fmt::Display| CliError::usage(format!("--chat {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| {
        let list = path.to_string_lossy().trim_start().starts_with('[');
        if list { wrong(&"this is the list itself; write it into a file, and name the file") } else { wrong(&e) }
    })?;
    serde_json::from_str(&text).map_err(|e| wrong(&e))
}

/// Collects the output of every block.
#[derive(Default)]
struct Blocks(Vec<f32>);
impl Probe for Blocks {
    fn wants(&self, site: Site) -> bool {
        matches!(site, Site::ResidPost(_))
    }
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        self.0.extend(floats(&x.clone().into_data()));
        x
    }
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    if args.ids.is_some() && args.tokenizer.is_some() {
        return Err(CliError::usage(
            "--tokenizer does nothing beside --ids, which are not tokenised: leave one of them out",
        ));
    }
    let device = device::open(backend(&args.backend)?, 0)?;
    let dtype: DType = device::dtype(&device, dtype(&args.dtype)?)?;
    let checkpoint = Checkpoint::resolve(&args.model, None, args.tokenizer.as_deref(), Path::new(""), 0)?;
    let ids: Vec<u32> = if let Some(ids) = &args.ids {
        let parse = |s: &str| s.trim().parse().map_err(|_| CliError::usage(format!("`{s}` is not a token id")));
        ids.split(',').map(parse).collect::<Result<_>>()?
    } else if let Some(text) = &args.text {
        let mut ids: Vec<u32> = checkpoint.arch.bos.into_iter().collect();
        ids.extend(checkpoint.tokenizer()?.encode(text)?);
        ids
    } else if let Some(path) = &args.chat {
        let turns = chat(path)?;
        let tokenizer = checkpoint.tokenizer()?;
        tokenizer.encode(&checkpoint.template(&tokenizer)?.render(&turns)?)?
    } else {
        return Err(CliError::usage("give --ids, --text or --chat"));
    };
    let positions = ids.len().saturating_add(args.greedy.unwrap_or(0));
    if positions > checkpoint.arch.context {
        let context = checkpoint.arch.context;
        return Err(CliError::usage(format!("{positions} positions are more than the model's context of {context}")));
    }
    let weights = checkpoint.open()?;
    let model = Model::load(&checkpoint.arch, weights.as_ref(), &device, dtype, &mut |_| {})?;
    let (n, new) = (ids.len(), args.greedy.unwrap_or(0));
    let mut cache = model.cache(CacheShape::new(&model.arch, 1, n + new, n));
    let step =
        Step { ids: ids.clone(), segments: vec![Segment { slot: 0, start: 0, len: n }], logits: (0..n).collect() };
    let mut blocks = Blocks::default();
    let logits = model.forward(&step, &mut cache, &mut blocks)?;
    let logits: Vec<f32> = logits.map(|l| floats(&l.into_data())).unwrap_or_default();
    let mut generated: Vec<u32> = vec![];
    let mut next = friction_engine::sampling::argmax(&logits[(n - 1) * model.arch.vocab..]);
    while generated.len() < new {
        generated.push(next);
        let step = Step {
            ids: vec![next],
            segments: vec![Segment { slot: 0, start: n + generated.len() - 1, len: 1 }],
            logits: vec![0],
        };
        if generated.len() < new
            && let Some(l) = model.forward(&step, &mut cache, &mut NoProbe)?
        {
            next = l.argmax(1).into_data().iter::<i64>().next().unwrap_or(0) as u32;
        }
    }
    let float = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let int = |v: &[u32]| v.iter().flat_map(|x| i64::from(*x).to_le_bytes()).collect::<Vec<u8>>();
    let (ids_b, logits_b, blocks_b, new_b) = (int(&ids), float(&logits), float(&blocks.0), int(&generated));
    let mut parts = vec![
        ("ids", Dtype::I64, vec![n], &ids_b),
        ("logits", Dtype::F32, vec![n, model.arch.vocab], &logits_b),
        ("resid_post", Dtype::F32, vec![model.arch.layers(), n, model.arch.hidden], &blocks_b),
    ];
    if args.greedy.is_some() {
        parts.push(("generated", Dtype::I64, vec![generated.len()], &new_b));
    }
    let views = parts
        .iter()
        .map(|(name, d, s, b)| {
            Ok((*name, TensorView::new(*d, s.clone(), b).map_err(|e| CliError::Failed(Box::new(e)))?))
        })
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(views, None, &args.out)
        .map_err(|e| CliError::Failed(format!("{}: {e}", args.out.display()).into()))?;
    if as_json {
        outln!("{}", serde_json::json!({"out": crate::print::path(&args.out), "tokens": n, "generated": generated}));
    } else {
        outln!(
            "wrote {}: {}, {}, {} generated",
            args.out.display(),
            plural(n, "id"),
            plural(model.arch.layers(), "layer"),
            generated.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_a_file() {
        let said = |path: &str| chat(Path::new(path)).err().map(|e| format!("{e:?}")).unwrap_or_default();
        let list = r#"[{"role": "user", "content": "hi"}]"#;
        assert!(said(list).contains("write it into a file"), "{}", said(list));
        assert!(said("no/such/file.json").contains("--chat no/such/file.json: "), "{}", said("no/such/file.json"));
        // A file that holds no list of messages.
        let other = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(said(other).contains("expected") && said(other).contains(other), "{}", said(other));
    }
}
