//! From a checkpoint's folder to prompts: chat template, special tokens and stop ids.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_model::{ChatMessage, Checkpoint, testing};
use tempfile::TempDir;

/// A tiny checkpoint with these additional files.
fn checkpoint(files: &[(&str, &str)]) -> (TempDir, friction_model::Result<Checkpoint>) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    testing::checkpoint(&model, 1).unwrap();
    for (name, text) in files {
        std::fs::write(model.join(name), text).unwrap();
    }
    let found = Checkpoint::resolve("path:model", None, None, dir.path(), 0);
    (dir, found)
}

fn prompt(files: &[(&str, &str)]) -> String {
    let (_dir, found) = checkpoint(files);
    let found = found.unwrap();
    found.template(&found.tokenizer().unwrap()).unwrap().render(&[ChatMessage::user("Hi")]).unwrap()
}

const ALL: &str = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ sep_token is defined }}|{{ tools }}|{{ documents }}|{{ messages[0].content }}";

#[test]
fn special_tokens_are_the_checkpoints() {
    let config = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<unk>", "eos_token": {"content": "<end_of_turn>"}, "pad_token": null}"#;
    let jinja = ("chat_template.jinja", ALL);
    assert_eq!(prompt(&[jinja, ("tokenizer_config.json", config)]), "<unk>|<end_of_turn>|||False|None|None|Hi");
    // No special tokens named: Gemma's.
    assert_eq!(prompt(&[jinja]), "<bos>|<eos>|<unk>|<pad>|False|None|None|Hi");
    // Gemma's template writes the checkpoint's BOS, too.
    let gemma = prompt(&[("tokenizer_config.json", config)]);
    assert_eq!(gemma, "<unk><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
    // With the old special_tokens_map.json beside it.
    let map = ("special_tokens_map.json", r#"{"bos_token": {"content": "<eos>"}}"#);
    assert!(prompt(&[jinja, ("tokenizer_config.json", config), map]).starts_with("<eos>|<end_of_turn>|"));
    let (_dir, found) = checkpoint(&[("tokenizer_config.json", r#"{"bos_token": ["<s>"]}"#)]);
    let e = found.err().unwrap().to_string();
    assert!(e.contains("tokenizer_config.json") && e.contains("`bos_token` is [\"<s>\"]"), "{e}");
}

#[test]
fn one_template_of_several_is_refused_by_name() {
    let named = |name: &str| {
        format!(r#"{{"chat_template": [{{"name": "{name}", "template": "T"}}, {{"name": "rag", "template": "R"}}]}}"#)
    };
    assert_eq!(prompt(&[("tokenizer_config.json", &named("default"))]), "T");
    let (_dir, found) = checkpoint(&[("tokenizer_config.json", &named("tool_use"))]);
    let e = found.err().unwrap().to_string();
    assert!(e.contains("the templates rag, tool_use") && e.contains("chat_template.jinja"), "{e}");
    // A chat_template.jinja says which one is meant.
    assert_eq!(prompt(&[("tokenizer_config.json", &named("tool_use")), ("chat_template.jinja", "J\r\n")]), "J");
}

#[test]
fn stop_ids_are_of_both_files_and_the_template() {
    let stops = |files: &[(&str, &str)]| {
        let (_dir, found) = checkpoint(files);
        let found = found.unwrap();
        let template = found.template(&found.tokenizer().unwrap()).unwrap();
        (found.config.eos.clone(), template.end_of_turn())
    };
    // The tiny checkpoint's config.json names 1 and 5.
    assert_eq!(stops(&[("generation_config.json", r#"{"eos_token_id": [7, 5]}"#)]), (vec![7, 5, 1], Some(5)));
    assert_eq!(stops(&[("generation_config.json", r#"{"eos_token_id": 7}"#)]), (vec![7, 1, 5], Some(5)));
    assert_eq!(stops(&[("generation_config.json", "{}")]), (vec![1, 5], Some(5)));
    for bad in [r#""x""#, "1.5", "-1", "[true]", "[1, 4294967296]"] {
        let (_dir, found) = checkpoint(&[("generation_config.json", &format!(r#"{{"eos_token_id": {bad}}}"#))]);
        let told = found.err().unwrap().to_string();
        assert!(told.contains("`eos_token_id` holds"), "{bad}: {told}");
    }
    let other = "{% for m in messages %}<start_of_turn>{{ m.content }}{% if m.role == 'assistant' %}<eos>{% endif %}{% endfor %}";
    assert_eq!(stops(&[("chat_template.jinja", other)]).1, Some(1));
}

/// transformers 5 accepts these fields only as integers.
#[test]
fn whole_numbers_are_written_whole() {
    let (dir, _) = checkpoint(&[]);
    let path = dir.path().join("model/config.json");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for key in [
        "query_pre_attn_scalar",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "sliding_window",
        "max_position_embeddings",
        "bos_token_id",
        "pad_token_id",
    ] {
        assert!(json[key].is_u64(), "{key} is {}", json[key]);
    }
    assert!(json["eos_token_id"].as_array().unwrap().iter().all(serde_json::Value::is_u64));
    for key in ["full_attention", "sliding_attention"] {
        assert!(json["rope_parameters"][key]["rope_theta"].is_f64());
    }
    let again = Checkpoint::resolve("path:model", None, None, dir.path(), 0).unwrap();
    assert_eq!(again.config, testing::config());
    let mut odd = testing::config();
    odd.query_pre_attn_scalar = 8.5;
    assert_eq!(odd.to_json()["query_pre_attn_scalar"], 8.5);
}
