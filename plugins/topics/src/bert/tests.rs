//! Parity with sentence-transformers (`tests/data/embeddings.py`), on a tiny BERT that is part of the tests and on
//! all-MiniLM-L6-v2. `FRICTION_MODELS` names the folder of real models (default `~/.cache/friction-models`); without
//! them the test says that it is skipped.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::farthest::{Points, tests::compare, tests::floats};
use friction_checkpoint::weights::TensorSource;
use friction_checkpoint::weights::safetensors::SafetensorsFiles;
use serde_json::{Value, json};
use std::path::PathBuf;

const FILES: [&str; 7] = [
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_Pooling/config.json",
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

/// A copy of the tiny BERT, to be changed.
pub(crate) struct Tiny(tempfile::TempDir);

impl Tiny {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("1_Pooling")).unwrap();
        for name in FILES {
            std::fs::copy(data("tiny-bert").join(name), dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Changes a file of JSON.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path().join(name);
        let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }

    fn open(&self) -> Result<SentenceModel> {
        SentenceModel::open("path:.", None, self.path())
    }
}

fn texts(v: &Value) -> Vec<&str> {
    v.as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect()
}

fn ids(model: &SentenceModel, texts: &[&str]) -> Value {
    texts.iter().map(|t| json!(model.encoder.encode(t).unwrap())).collect()
}

/// The largest difference of two lists of vectors.
fn apart(got: &[Vec<f32>], want: &[Vec<f64>]) -> f64 {
    assert_eq!(got.len(), want.len());
    let of = |(g, w): (&Vec<f32>, &Vec<f64>)| {
        assert_eq!(g.len(), w.len());
        g.iter().zip(w).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max)
    };
    let most = got.iter().zip(want).map(of).fold(0.0, f64::max);
    assert!(most.is_finite());
    most
}

#[test]
fn the_tiny_bert_is_that_of_sentence_transformers() {
    let want = expected("tiny.json");
    let texts = texts(&want["texts"]);
    for case in want["cases"].as_array().unwrap() {
        let tiny = Tiny::new();
        tiny.edit("config.json", |c| c["hidden_act"] = case["hidden_act"].clone());
        if case["normalize"] == false {
            tiny.edit("modules.json", |m| drop(m.as_array_mut().unwrap().pop()));
        }
        tiny.edit("sentence_bert_config.json", |c| c["max_seq_length"] = case["max_seq_length"].clone());
        let model = tiny.open().unwrap();
        assert_eq!(ids(&model, &texts), case["ids"]);
        let vectors: Vec<Vec<f64>> = case["embeddings"].as_array().unwrap().iter().map(floats).collect();
        let off = apart(&model.embed(&texts).unwrap(), &vectors);
        assert!(off < 5e-6, "{off:e}: {} {}", case["hidden_act"], case["normalize"]);
    }
}

#[test]
fn gelu_and_its_approximation_are_told_apart() {
    let want = expected("tiny.json");
    let case =
        |i: usize| -> Vec<f64> { want["cases"][i]["embeddings"].as_array().unwrap().iter().flat_map(floats).collect() };
    let off = case(0).iter().zip(case(2)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off > 5e-5, "{off:e}: the cases of the test before differ by more than it allows");
}

#[test]
fn padding_changes_nothing() {
    let model = Tiny::new().open().unwrap();
    let texts = ["law", "the history of art, of law, of math", "", "math!", "the history of philosophy of art"];
    let together = model.embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        let alone = model.embed(&[*text]).unwrap();
        let wide: Vec<Vec<f64>> = alone.iter().map(|v| v.iter().map(|x| f64::from(*x)).collect()).collect();
        let off = apart(std::slice::from_ref(vector), &wide);
        assert!(off < 1e-6, "{off:e}: {text}");
    }
    assert!(model.embed(&[]).unwrap().is_empty());
    // More tokens than are computed at once, in the order of the texts.
    let many: Vec<&str> = (0..1000).map(|i| texts[i % 5]).collect();
    for (i, vector) in model.embed(&many).unwrap().iter().enumerate() {
        assert!(vector.iter().zip(&together[i % 5]).all(|(a, b)| (a - b).abs() < 1e-6), "{i}");
    }
}

/// Files as other versions of sentence-transformers and transformers write them.
#[test]
fn other_layouts_are_the_same_model() {
    let (plain, texts) = (Tiny::new().open().unwrap(), ["law of art", "é数!"]);
    let want = plain.embed(&texts).unwrap();
    let tiny = Tiny::new();
    let types = ["base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling", "x.Normalize"];
    tiny.edit("modules.json", |m| {
        m.as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(types)
            .for_each(|(m, t)| m["type"] = format!("sentence_transformers.{t}").into());
    });
    tiny.edit("1_Pooling/config.json", |c| {
        *c = json!({"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": true});
    });
    let model = tiny.open().unwrap();
    assert_eq!(model.embed(&texts).unwrap(), want);
    assert_ne!(model.sha256, plain.sha256);
    assert_eq!(Tiny::new().open().unwrap().sha256, plain.sha256);

    // The transformer in a folder of its own, its tensors behind `bert.`, and a tokenizer.json.
    let tiny = Tiny::new();
    let inner = tiny.path().join("0_Transformer");
    std::fs::create_dir(&inner).unwrap();
    for name in ["config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer_config.json"] {
        std::fs::rename(tiny.path().join(name), inner.join(name)).unwrap();
    }
    tiny.edit("modules.json", |m| m[0]["path"] = "0_Transformer".into());
    let bytes = std::fs::read(inner.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let renamed = header
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| (if k.starts_with("__") { k.clone() } else { format!("bert.{k}") }, v.clone()));
    let header = Value::Object(renamed.collect()).to_string();
    let out = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
    std::fs::write(inner.join("model.safetensors"), out).unwrap();
    let vocab = std::fs::read_to_string(data("tiny-bert/vocab.txt")).unwrap();
    std::fs::write(inner.join("tokenizer.json"), text::word_piece(&vocab, &Value::Null).unwrap()).unwrap();
    assert_eq!(tiny.open().unwrap().embed(&texts).unwrap(), want);
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let told = |name: &str, change: &dyn Fn(&mut Value)| {
        let tiny = Tiny::new();
        tiny.edit(name, change);
        let error = tiny.open().err().unwrap();
        assert!(matches!(&error, Error::Key { key, .. } if key == "model"), "{error:?}");
        error.to_string()
    };
    let pooling = "1_Pooling/config.json";
    for (name, key, value, part) in [
        ("config.json", "model_type", json!("mpnet"), "`model_type` is `mpnet`; `bert` is computed"),
        ("config.json", "hidden_act", json!("silu"), "unknown variant `silu`, expected one of `gelu`"),
        (
            "config.json",
            "position_embedding_type",
            json!("relative_key"),
            "`position_embedding_type` is `relative_key`",
        ),
        ("config.json", "is_decoder", json!(true), "`is_decoder` is true"),
        ("config.json", "num_attention_heads", json!(3), "3 attention heads do not share a width of 8"),
        ("config.json", "num_attention_heads", json!(0), "0 attention heads"),
        ("config.json", "hidden_size", json!(16), "the pooling is of width 8, the transformer of 16"),
        (
            "config.json",
            "intermediate_size",
            json!(13),
            "tensor `encoder.layer.0.intermediate.dense.weight` is [12, 8]",
        ),
        (
            "config.json",
            "num_hidden_layers",
            json!(3),
            "tensor `encoder.layer.2.attention.self.query.weight` is missing",
        ),
        ("config.json", "vocab_size", json!(20), "the tokenizer has 30 ids, the model 20"),
        (pooling, "pooling_mode_mean_tokens", json!(false), "the pooling is []"),
        (pooling, "pooling_mode_max_tokens", json!(true), "\"max\""),
        (pooling, "pooling_mode", json!("cls"), "\"cls\""),
        (
            "sentence_bert_config.json",
            "max_seq_length",
            json!(17),
            "`max_seq_length` is 17; it must be from 3 to the model's 16",
        ),
        ("sentence_bert_config.json", "transformer_task", json!("fill-mask"), "the task `fill-mask`"),
    ] {
        let error = told(name, &|v| v[key] = value.clone());
        assert!(error.contains(part) && error.starts_with("path:.: "), "{key}: {error}");
    }
    let error = told(pooling, &|v| {
        v["pooling_mode_mean_tokens"] = false.into();
        v["pooling_mode_cls_token"] = true.into();
    });
    assert!(error.contains("the pooling is [\"cls\"]; the mean over tokens, `mean`, is computed here"), "{error}");
    let dense = json!({"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"});
    let error = told("modules.json", &|m| m[2] = dense.clone());
    assert!(error.contains("the module `Dense` is not computed here"), "{error}");
    let error = told("modules.json", &|m| *m = json!([m[0].clone()]));
    assert!(error.contains("modules.json lists [\"Transformer\"]"), "{error}");
    for name in ["modules.json", "config.json", "model.safetensors", "1_Pooling/config.json"] {
        let tiny = Tiny::new();
        std::fs::remove_file(tiny.path().join(name)).unwrap();
        let error = tiny.open().err().unwrap().to_string();
        assert_eq!(error, format!("path:.: holds no {name}"));
    }
    let tiny = Tiny::new();
    std::fs::remove_file(tiny.path().join("vocab.txt")).unwrap();
    assert!(tiny.open().err().unwrap().to_string().ends_with("holds no tokenizer.json and no vocab.txt"));
    let prompt = json!({"prompts": {"query": "query: "}, "default_prompt_name": "query"});
    std::fs::write(tiny.path().join("config_sentence_transformers.json"), prompt.to_string()).unwrap();
    assert!(tiny.open().err().unwrap().to_string().contains("`default_prompt_name` is `query`"));
    for (source, revision, key, part) in [
        ("MiniLM", None, "model", "`MiniLM` names no model"),
        ("gguf:x", None, "model", "`gguf:x` names no model"),
        ("hf:MiniLM", None, "model", "write `owner/name`"),
        ("path:nowhere", None, "model", "there is no folder"),
        ("path:.", Some("main"), "revision", "`revision` does nothing beside a folder"),
    ] {
        let error = SentenceModel::open(source, revision, tiny.path()).err().unwrap();
        assert!(matches!(&error, Error::Key { key: at, .. } if at == key), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn mini_lm_is_that_of_sentence_transformers() {
    let models = std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    );
    let folder = models.join("all-MiniLM-L6-v2");
    if !folder.join("model.safetensors").exists() {
        eprintln!("SKIPPED: no {}", folder.display());
        return;
    }
    let model = SentenceModel::open(&format!("path:{}", folder.display()), None, Path::new("")).unwrap();
    let want = expected("minilm.json");
    let (names, long) = (texts(&want["names"]), texts(&want["texts"]));
    let all = [&names[..], &long].concat();
    assert_eq!(ids(&model, &all), want["ids"]);
    // vocab.txt alone gives the same tokens.
    let mut files = Files::of(&format!("path:{}", folder.display()), None, Path::new("")).unwrap();
    let modules = Modules::read(&mut files).unwrap();
    let bare = tempfile::tempdir().unwrap();
    for name in ["vocab.txt", "tokenizer_config.json"] {
        std::fs::copy(folder.join(name), bare.path().join(name)).unwrap();
    }
    let config = BertConfig::read(&mut files, &modules).unwrap();
    let mut bare = Files::of(&format!("path:{}", bare.path().display()), None, Path::new("")).unwrap();
    let encoder = Encoder::read(&mut bare, &modules, &config).unwrap();
    let by_vocab: Value = all.iter().map(|t| json!(encoder.encode(t).unwrap())).collect();
    assert_eq!(by_vocab, want["ids"]);

    let stored = SafetensorsFiles::open_files(vec![data("minilm.safetensors")]).unwrap();
    let vectors = model.embed(&all).unwrap();
    for (key, got) in [("names", &vectors[..names.len()]), ("texts", &vectors[names.len()..])] {
        let flat = stored.f32(key, &[got.len(), 384]).unwrap();
        let rows: Vec<Vec<f64>> = flat.chunks(384).map(|r| r.iter().map(|x| f64::from(*x)).collect()).collect();
        let off = apart(got, &rows);
        println!("{key}: {off:e} off at most");
        assert!(off < 1e-5, "{key}: {off:e}");
    }
    let points = Points::new(&vectors[..names.len()]).unwrap();
    for (i, row) in want["distances"].as_array().unwrap().iter().enumerate() {
        for (j, d) in floats(row).iter().enumerate() {
            assert!((points.distance(i, j) - d).abs() < 1e-5, "{} {}", names[i], names[j]);
        }
    }
    let chosen = want["chosen"].as_array().unwrap();
    assert_eq!(chosen.len(), 16);
    chosen.iter().for_each(|case| compare(&points, case, 1e-5));
}
