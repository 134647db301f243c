//! From a checkpoint's folder to prompts: chat template, special tokens and stop ids.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_checkpoint::{ChatMessage, Checkpoint, testing};
use serde_json::json;
use tempfile::TempDir;

/// A tiny checkpoint with these additional files.
fn checkpoint(files: &[(&str, &str)]) -> (TempDir, friction_checkpoint::Result<Checkpoint>) {
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
        (found.arch.eos.clone(), template.end_of_turn())
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

#[test]
fn a_key_that_stands_twice_is_refused() {
    let config = testing::config_json().to_string();
    let config = config.replacen('{', "{\"vocab_size\": 64,", 1);
    for (name, text, key) in [
        ("config.json", config.as_str(), "vocab_size"),
        ("generation_config.json", r#"{"top_k": 1, "top_k": 64}"#, "top_k"),
        ("tokenizer_config.json", r#"{"bos_token": "<bos>", "bos_token": "<eos>"}"#, "bos_token"),
    ] {
        let (_dir, found) = checkpoint(&[(name, text)]);
        let told = found.err().unwrap().to_string();
        assert!(told.contains(&format!("{name}: the key `{key}` stands twice")), "{told}");
    }
}

/// The tiny checkpoint has 128 token ids.
#[test]
fn ids_beyond_the_vocabulary_are_refused() {
    let (_dir, found) = checkpoint(&[("generation_config.json", r#"{"eos_token_id": [1, 128]}"#)]);
    let told = found.err().unwrap().to_string();
    assert!(
        told.contains("generation_config.json: `eos_token_id` holds 128, but the model has 128 token ids"),
        "{told}"
    );
    let own = testing::config_json().to_string().replace("\"eos_token_id\":[1,5]", "\"eos_token_id\":[1,4000]");
    let (_dir, found) = checkpoint(&[("config.json", &own)]);
    let told = found.err().unwrap().to_string();
    assert!(told.contains("/config.json: `eos_token_id` holds 4000"), "{told}");
    // A tokenizer's special token that only the template writes.
    let mut tokenizer: serde_json::Value = serde_json::from_str(&testing::tokenizer_json()).unwrap();
    let token = json!({"id": 128, "content": "<|im_end|>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    tokenizer["model"]["vocab"]["<|im_end|>"] = json!(128);
    let chatml = "{% for m in messages %}<start_of_turn>{{ m.content }}<|im_end|>{% endfor %}";
    let (_dir, found) = checkpoint(&[("tokenizer.json", &tokenizer.to_string()), ("chat_template.jinja", chatml)]);
    let found = found.unwrap();
    let told = found.template(&found.tokenizer().unwrap()).err().unwrap().to_string();
    assert!(told.contains("writes `<|im_end|>`, whose id is 128, but the model has 128 token ids"), "{told}");
}

#[test]
fn prompts_begin_with_bos_where_the_template_writes_it() {
    let begins = |files: &[(&str, &str)]| {
        let (_dir, found) = checkpoint(files);
        found.unwrap().begins_with_bos().unwrap()
    };
    let chatml = "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}";
    assert!(begins(&[]));
    assert!(!begins(&[("chat_template.jinja", chatml)]));
    // As in SmolLM2, whose BOS token opens every turn.
    let named = r#"{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<start_of_turn>"}"#;
    assert!(begins(&[("chat_template.jinja", chatml), ("tokenizer_config.json", named)]));
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
    assert_eq!(again.arch, testing::config());
    let mut odd = testing::config();
    odd.query_pre_attn_scalar = 8.5;
    assert_eq!(friction_checkpoint::families::gemma3::to_json(&odd).unwrap()["query_pre_attn_scalar"], 8.5);
}

/// A study's model: the tiny checkpoint in `model`, with more of its section `[model]`.
fn of(base: &std::path::Path, more: serde_json::Value) -> friction_checkpoint::Result<Checkpoint> {
    let mut model = serde_json::json!({"source": "path:model"});
    model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let context = serde_json::json!({"base": base, "seed": 0, "model": model, "backend": {}});
    Checkpoint::of(&serde_json::from_value(context).unwrap())
}

fn chosen(base: &std::path::Path, more: serde_json::Value) -> friction_checkpoint::Result<String> {
    let found = of(base, more)?;
    let turns = [ChatMessage::user("Hi "), ChatMessage::assistant(" Hello.\n"), ChatMessage::user("Bye ")];
    found.template(&found.tokenizer()?)?.render(&turns)
}

#[test]
fn a_manifest_chooses_the_template() {
    let (dir, _) = checkpoint(&[("chat_template.jinja", "own {{ bos_token }}")]);
    let base = dir.path();
    assert_eq!(chosen(base, json!({})).unwrap(), "own <bos>");
    assert!(chosen(base, json!({"chat_template": "gemma"})).unwrap().starts_with("<bos><start_of_turn>user\nHi<"));
    assert_eq!(chosen(base, json!({"chat_template": "none"})).unwrap(), "<bos>Hi  Hello.\n\nBye ");
    let told = chosen(base, json!({"chat_template": "chatml"})).unwrap_err().to_string();
    assert!(told.starts_with("`model.chat_template`: the tokenizer has no `<|im_start|>`"), "{told}");
    // A file, its arguments and its date.
    std::fs::write(base.join("mine.jinja"), "{{ greeting }}{{ strftime_now('%Y') }}{{ bos_token }}\n").unwrap();
    let mine =
        json!({"chat_template": "mine.jinja", "template_args": {"greeting": "Hej"}, "template_date": "2026-07-26"});
    assert_eq!(chosen(base, mine).unwrap(), "Hej2026<bos>");
    std::fs::write(base.join("mine.jinja"), "{% if %}").unwrap();
    let told = chosen(base, json!({"chat_template": "mine.jinja"})).unwrap_err().to_string();
    assert!(told.starts_with("`model.chat_template`: the chat template does not compile"), "{told}");
}

#[test]
fn the_text_that_renders_prompts_identifies_a_run() {
    let (dir, _) = checkpoint(&[("chat_template.jinja", "own")]);
    let base = dir.path();
    let hash = |more| of(base, more).unwrap().part(friction_core::ModelPart::ChatTemplate).unwrap().unwrap();
    std::fs::write(base.join("mine.jinja"), "own").unwrap();
    let mine = json!({"chat_template": "mine.jinja"});
    // The same text is the same template, wherever it is from.
    assert_eq!(hash(json!({})), hash(mine.clone()));
    let all = [json!({}), json!({"chat_template": "none"}), json!({"chat_template": "gemma"})].map(hash);
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    // A file that was changed since is refused.
    let mut locked = of(base, mine.clone()).unwrap().identity().unwrap();
    locked.0.retain(|part, _| *part == friction_core::ModelPart::ChatTemplate);
    std::fs::write(base.join("mine.jinja"), "other").unwrap();
    let context = json!({"base": base, "seed": 0, "model": {"source": "path:model", "chat_template": "mine.jinja"}, "backend": {}, "locked": locked});
    let again = Checkpoint::of(&serde_json::from_value(context).unwrap()).unwrap();
    let told = again.template(&again.tokenizer().unwrap()).err().unwrap().to_string();
    assert!(told.starts_with("chat template of path:model differs from what the run was made with"), "{told}");
}

/// Without markers a text begins as the tokenizer begins texts.
#[test]
fn the_bos_token_of_plain_prompts_is_the_tokenizers() {
    let begins = |post: serde_json::Value, config: Option<&str>| {
        let (dir, _) = checkpoint(&[]);
        let tokenizer =
            testing::tokenizer_json().replace("\"post_processor\":null", &format!("\"post_processor\":{post}"));
        std::fs::write(dir.path().join("model/tokenizer.json"), tokenizer).unwrap();
        if let Some(config) = config {
            std::fs::write(dir.path().join("model/tokenizer_config.json"), config).unwrap();
        }
        let text = chosen(dir.path(), json!({"chat_template": "none"})).unwrap();
        text.split_once("Hi").unwrap().0.to_string()
    };
    let template = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}], "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let other = r#"{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<eos>"}"#;
    assert_eq!(begins(template.clone(), None), "<bos>");
    assert_eq!(begins(bytes.clone(), Some(other)), "");
    assert_eq!(begins(json!(null), Some(other)), "<eos>");
    assert_eq!(begins(json!(null), None), "<bos>");
    assert_eq!(begins(template, Some(r#"{"add_bos_token": false}"#)), "");
    assert_eq!(begins(bytes, Some(r#"{"add_bos_token": true}"#)), "<bos>");
}
