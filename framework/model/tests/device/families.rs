//! Parity with transformers in every family: block outputs, logits and greedy tokens of tiny checkpoints, and of the real
//! SmolLM2-135M-Instruct. `FRICTION_FIXTURES` and `FRICTION_MODELS` are as in `parity`.
use crate::parity::{equals_transformers, expected, fixtures, forward, greedy, load, oracle, real, relative, tokens};
use friction_checkpoint::families::FAMILIES;
use friction_checkpoint::{ChatMessage, Checkpoint, Role};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The checkpoints of the families; each is named after one.
pub(crate) fn folders(dir: &Path) -> Vec<(String, std::path::PathBuf)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<_> = entries.filter(|p| p.join("expected.json").exists()).collect();
    all.sort();
    all.into_iter().map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), p)).collect()
}

#[test]
fn every_family_equals_transformers() {
    let Some(dir) = fixtures("families") else { return };
    let mut seen = BTreeSet::from(["gemma3_text".to_string()]);
    for (name, folder) in folders(&dir) {
        equals_transformers(&folder, &name);
        let config: Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        seen.insert(config["model_type"].as_str().unwrap().to_string());
    }
    let missing: Vec<_> = FAMILIES.iter().filter(|f| f.model_types.iter().all(|t| !seen.contains(*t))).collect();
    assert!(missing.is_empty(), "no fixture of {:?}", missing.iter().map(|f| f.name).collect::<Vec<_>>());
}

/// SmolLM2's GGUF file: rendered chats, ids, blocks, the order of the largest logits, and greedy tokens.
#[test]
fn the_real_smollm2_equals_transformers() {
    let (Some(dir), Some(file)) = (fixtures("smollm2"), real("smollm2-135m-instruct-q4_1.gguf")) else { return };
    let source = format!("gguf:{}", file.display());
    let checkpoint = Checkpoint::resolve(&source, None, None, Path::new(""), 0).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let template = checkpoint.template(&tokenizer).unwrap();
    let model = load(&source);
    let (bytes, json) = oracle(&dir);
    let st = SafeTensors::deserialize(&bytes).unwrap();
    let layers = [0, 9, 19, 29];
    for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
        let message = |m: &Value| {
            let text = m["content"].as_str().unwrap();
            match serde_json::from_value(m["role"].clone()).unwrap() {
                Role::User => ChatMessage::user(text),
                Role::Assistant => ChatMessage::assistant(text),
                Role::System => ChatMessage::system(text),
            }
        };
        let chat: Vec<ChatMessage> = case["chat"].as_array().unwrap().iter().map(message).collect();
        let rendered = template.render(&chat).unwrap();
        assert_eq!(rendered, case["rendered"].as_str().unwrap(), "chat {i}");
        let ids = tokenizer.encode(&rendered).unwrap();
        assert_eq!(ids, tokens(&case["ids"]), "chat {i}");
        let (logits, resid) = forward(&model, &ids);
        let (hidden, vocab) = (model.arch.hidden, model.arch.vocab);
        let want = expected(&st, &format!("resid_post.{i}"));
        for (l, want) in layers.iter().zip(want.chunks(ids.len() * hidden)) {
            let e = relative(&resid[l * ids.len() * hidden..][..want.len()], want);
            println!("chat {i}: block {l} {e:.1e}");
            assert!(e <= 1e-4, "chat {i}: block {l} {e:e}");
        }
        let top = st.tensor(&format!("top_ids.{i}")).unwrap();
        let top: Vec<u32> = top.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        let values = expected(&st, &format!("top_logits.{i}"));
        for (t, (want, values)) in top.chunks(20).zip(values.chunks(20)).enumerate() {
            let row = &logits[t * vocab..][..vocab];
            let mut order: Vec<u32> = (0..vocab as u32).collect();
            order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
            for (k, (got, want)) in order.iter().zip(want).enumerate() {
                // Two logits closer than the error may change places, also with one behind the twenty.
                let near = got != want && (row[*got as usize] - values[k]).abs() < 1e-3;
                assert!(got == want || near, "chat {i}, token {t}: place {k} is {got}, not {want}");
            }
        }
        let n = tokens(&case["greedy"]).len();
        assert_eq!(greedy(&model, std::slice::from_ref(&ids), n, 64)[0], tokens(&case["greedy"]), "chat {i}");
    }
}
