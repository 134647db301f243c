#![allow(clippy::unwrap_used)]
use super::*;
use crate::arch::Scaling;
use crate::families::gemma3::to_json;
use serde_json::json;

/// Base and factor of layers without a window, then of those with one.
fn rope(c: &Arch) -> (f64, f64, f64, f64) {
    let of = |kind: usize| {
        let rope = c.kinds[kind].rope.unwrap();
        (rope.theta, if let Scaling::Linear(factor) = rope.scaling { factor } else { 1.0 })
    };
    (of(1).0, of(1).1, of(0).0, of(0).1)
}

fn global(c: &Arch) -> Vec<bool> {
    c.layer_kinds.iter().map(|k| *k == 1).collect()
}

fn read(v: &Value) -> Result<Arch, String> {
    Arch::from_json(Path::new("config.json"), v, None).map_err(|e| e.to_string())
}

/// A text-only configuration of eight layers with some keys changed.
fn with(changes: Value) -> Result<Arch, String> {
    let mut v = json!({
        "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 8,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300, "sliding_window": 8,
        "query_pre_attn_scalar": 16, "max_position_embeddings": 512,
    });
    for (key, value) in changes.as_object().unwrap() {
        v[key] = value.clone();
    }
    read(&v)
}

/// A multimodal configuration with changes to the outer table and to `text_config`.
fn nested(outer: Value, text: Value) -> Result<Arch, String> {
    let mut v = json!({
        "model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 64, "num_hidden_layers": 8},
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}, "mm_tokens_per_image": 256,
        "boi_token_index": 255_999, "image_token_index": 262_144, "torch_dtype": "bfloat16", "initializer_range": 0.02,
    });
    for (key, value) in outer.as_object().unwrap() {
        v[key] = value.clone();
    }
    for (key, value) in text.as_object().unwrap() {
        v["text_config"][key] = value.clone();
    }
    read(&v)
}

#[track_caller]
fn refused(got: Result<Arch, String>, parts: &[&str]) {
    let e = got.expect_err(&format!("must be refused for {parts:?}"));
    for part in parts {
        assert!(e.contains(part), "`{part}` is not in: {e}");
    }
}

#[test]
fn what_is_computed_is_read() {
    let c = with(json!({})).unwrap();
    assert_eq!(rope(&c), (1e6, 1.0, 1e4, 1.0));
    assert_eq!(global(&c), [false, false, false, false, false, true, false, false]);
    assert!(c.tied);
    // In the style of transformers 4, then 5.
    let old = with(
        json!({"rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    );
    let new = with(json!({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}}));
    let both = with(json!({
        "rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": {"type": "linear", "factor": 8},
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
            "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}}));
    let c = old.unwrap();
    assert_eq!(rope(&c), (5e5, 8.0, 2e4, 1.0));
    assert_eq!(c, new.unwrap());
    assert_eq!(c, both.unwrap());
    // A value missing in one table is taken from the other, as in transformers.
    let c = with(json!({"rope_theta": 3e5, "rope_scaling": {"rope_type": "linear", "factor": 2},
        "rope_parameters": {"sliding_attention": {"rope_theta": 7e3}, "full_attention": null}}));
    let c = c.unwrap();
    assert_eq!(rope(&c), (3e5, 2.0, 7e3, 1.0));
    // Scaling of sliding layers is computed as well.
    let c = with(json!({"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 4.0}}})).unwrap();
    assert_eq!((rope(&c).1, rope(&c).3), (1.0, 4.0));
    assert_eq!(read(&to_json(&c).unwrap()).unwrap(), c, "what is written is read");
    for null in ["rope_scaling", "rope_parameters", "layer_types", "attn_logit_softcapping", "final_logit_softcapping"]
    {
        assert_eq!(with(json!({ null: null })).unwrap(), with(json!({})).unwrap(), "{null}");
    }
}

#[test]
fn rope_that_is_not_computed_is_refused_by_name() {
    for kind in ["dynamic", "longrope", "proportional", "ntk"] {
        let table = json!({"rope_type": kind, "factor": 8.0, "beta_fast": 32, "original_max_position_embeddings": 512});
        refused(with(json!({"rope_scaling": table})), &["`rope_scaling.rope_type`", kind]);
        for layers in ["full_attention", "sliding_attention"] {
            let key = format!("`rope_parameters.{layers}.rope_type`");
            refused(with(json!({"rope_parameters": {layers: table}})), &[&key, kind]);
        }
        refused(
            nested(json!({}), json!({"rope_scaling": {"type": kind, "factor": 2}})),
            &["`text_config.rope_scaling.type`", kind],
        );
    }
    let full = |v: Value| with(json!({"rope_parameters": {"full_attention": v}}));
    for (got, parts) in [
        (full(json!({"rope_type": 3})), ["`rope_parameters.full_attention.rope_type`", "3"]),
        (full(json!({"rope_type": "linear"})), ["`rope_parameters.full_attention.factor`", "missing"]),
        (full(json!({"rope_type": "default", "factor": 8.0})), ["factor` = 8", "not `linear`"]),
        (full(json!({"factor": 8.0})), ["factor` = 8", "not `linear`"]),
        (full(json!({"rope_type": "linear", "factor": "8"})), ["factor`", "must be a number"]),
        (full(json!({"rope_type": "linear", "factor": 0})), ["factor` = 0", "above 0"]),
        (full(json!({"rope_type": "linear", "type": "default", "factor": 8})), ["rope_type`", "type` disagree"]),
        (full(json!({"rope_theta": "1e6"})), ["full_attention.rope_theta`", "must be a number"]),
        (full(json!({"rope_theta": -1})), ["full_attention.rope_theta`", "above 0"]),
        (full(json!({"partial_rotary_factor": 0.5})), ["partial_rotary_factor` = 0.5", "not computed"]),
        (
            full(json!({"rope_type": "linear", "factor": 8, "attention_factor": 1.2})),
            ["attention_factor` = 1.2", "not computed"],
        ),
        (full(json!({"mscale": 0.7})), ["mscale` = 0.7", "not computed"]),
        (full(json!([])), ["`rope_parameters.full_attention`", "a table"]),
        (
            with(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}})),
            ["`rope_parameters.rope_t", "`full_attention` and"],
        ),
        (
            with(json!({"rope_parameters": {"chunked_attention": {}}})),
            ["`rope_parameters.chunked_attention`", "not known"],
        ),
        (with(json!({"rope_parameters": 8})), ["`rope_parameters`", "a table"]),
        (with(json!({"rope_scaling": "linear"})), ["`rope_scaling`", "a table"]),
        (with(json!({"rope_theta": "big"})), ["`rope_theta`", "must be a number"]),
    ] {
        refused(got, &parts);
    }
}

#[test]
fn two_keys_that_disagree_are_refused() {
    let linear = |f: f64| json!({"rope_type": "linear", "factor": f});
    for (got, parts) in [
        (
            with(json!({"rope_scaling": linear(8.0), "rope_parameters": {"full_attention": {"rope_type": "default"}}})),
            ["`rope_parameters.full_attention` and `rope_scaling` disagree", "1 and 8"],
        ),
        (
            with(json!({"rope_scaling": linear(8.0), "rope_parameters": {"full_attention": linear(4.0)}})),
            ["`rope_parameters.full_attention` and `rope_scaling` disagree", "4 and 8"],
        ),
        (
            with(json!({"rope_theta": 5e5, "rope_parameters": {"full_attention": {"rope_theta": 1e6}}})),
            ["`rope_parameters.full_attention` and `rope_theta` disagree", "1000000 and 500000"],
        ),
        (
            with(json!({"rope_local_base_freq": 2e4, "rope_parameters": {"sliding_attention": {"rope_theta": 1e4}}})),
            ["`rope_parameters.sliding_attention` and `rope_local_base_freq` disagree", "10000 and 20000"],
        ),
        (
            with(
                json!({"sliding_window_pattern": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention",
                "sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]}),
            ),
            ["`sliding_window_pattern` = 4 contradicts", "`layer_types`"],
        ),
        (
            with(json!({"sliding_window_pattern": 4, "_sliding_window_pattern": 6})),
            ["`_sliding_window_pattern` = 6 contradicts", "which is 4"],
        ),
        (with(json!({"_sliding_window_pattern": 4})), ["`_sliding_window_pattern` = 4 contradicts", "which is 6"]),
        (nested(json!({"rope_theta": 5e5}), json!({})), ["`rope_theta` = 500000", "beside `text_config`"]),
        (
            nested(json!({"sliding_window": 9}), json!({"sliding_window": 8})),
            ["`sliding_window` = 9", "beside `text_config`"],
        ),
        (
            nested(json!({"tie_word_embeddings": true}), json!({"tie_word_embeddings": false})),
            ["`tie_word_embeddings` is true", "`text_config.tie_word_embeddings` is false"],
        ),
    ] {
        refused(got, &parts);
    }
    assert!(nested(json!({"sliding_window": 8}), json!({"sliding_window": 8})).is_ok());
}

#[test]
fn layers_and_windows_are_what_the_file_says() {
    let types =
        |of: &[bool]| -> Value { of.iter().map(|g| if *g { "full_attention" } else { "sliding_attention" }).collect() };
    let odd = [true, false, true, true, false, false, false, true];
    // transformers writes its default 6 whatever the layers are, and does not read it.
    let c = with(json!({"layer_types": types(&odd), "_sliding_window_pattern": 6})).unwrap();
    assert_eq!(global(&c), odd);
    let fourth = [false, false, false, true, false, false, false, true];
    assert_eq!(with(json!({"sliding_window_pattern": 4})).unwrap().layer_kinds, fourth.map(usize::from));
    assert_eq!(
        with(json!({"sliding_window_pattern": 4, "layer_types": types(&fourth)})).unwrap().layer_kinds,
        fourth.map(usize::from)
    );
    let all = with(json!({"layer_types": types(&[true; 8]), "sliding_window": null})).unwrap();
    assert_eq!(global(&all), [true; 8]);
    for (got, part) in [
        (with(json!({"layer_types": ["full_attention"]})), "has 1 entries for 8 layers"),
        (with(json!({"layer_types": "full_attention"})), "`layer_types` must be a list"),
        (with(json!({"layer_types": vec!["chunked_attention"; 8]})), "unknown layer type \"chunked_attention\""),
        (with(json!({"layer_types": [1, 2, 3, 4, 5, 6, 7, 8]})), "unknown layer type 1"),
        (with(json!({"sliding_window": null})), "`sliding_window` is null"),
        (with(json!({"sliding_window": 0})), "`sliding_window` = 0 is out of range"),
        (with(json!({"sliding_window_pattern": 0})), "`sliding_window_pattern` = 0 is out of range"),
        (with(json!({"sliding_window_pattern": "6"})), "`sliding_window_pattern` must be a whole number"),
        (with(json!({"_sliding_window_pattern": -1})), "`_sliding_window_pattern` must be a whole number"),
        (with(json!({"hidden_size": null})), "`hidden_size` is null"),
        (with(json!({"rms_norm_eps": null})), "`rms_norm_eps` is null"),
    ] {
        refused(got, &[part]);
    }
}

#[test]
fn what_would_change_the_computation_and_is_not_read_is_refused() {
    for (key, value) in [
        ("attn_logit_softcapping", json!(50.0)),
        ("final_logit_softcapping", json!(30)),
        ("attention_bias", json!(true)),
        ("attention_bias", json!("yes")),
        ("use_bidirectional_attention", json!(true)),
        ("use_bidirectional_attention", json!("vision")),
        ("hidden_activation", json!("gelu")),
        ("hidden_activation", json!(3)),
        ("hidden_act", json!("silu")),
        ("partial_rotary_factor", json!(0.25)),
        ("mlp_bias", json!(true)),
        ("add_cross_attention", json!(true)),
        ("is_encoder_decoder", json!(true)),
        ("pruned_heads", json!({"0": [1]})),
        ("quantization_config", json!({"quant_method": "bitsandbytes"})),
        ("auto_map", json!({"AutoModelForCausalLM": "modeling.My"})),
        ("per_layer_config", json!({"0": {"sliding_window": 4}})),
        // Keys of other families, and unknown ones.
        ("residual_multiplier", json!(0.22)),
        ("logits_scaling", json!(8)),
        ("embedding_multiplier", json!(12.0)),
        ("clip_qkv", json!(8)),
        ("num_experts", json!(8)),
        ("no_rope_layers", json!([1, 1, 1, 0])),
        ("rope_interleaved", json!(false)),
        ("is_causal", json!(false)),
        ("use_qk_norm", json!(false)),
        ("norm_type", json!("layer")),
        ("query_rescale", json!(2.5)),
        ("activation_sparsity_pattern", json!([0.95])),
    ] {
        let name = format!("`{key}`");
        refused(with(json!({ key: value })), &[&name]);
        refused(nested(json!({}), json!({ key: value })), &[&format!("`text_config.{key}`")]);
        refused(nested(json!({ key: value }), json!({})), &[&name]);
    }
    refused(with(json!({"text_config": {}})), &["`gemma3_text`", "no `text_config`"]);
    refused(nested(json!({}), json!({"model_type": "gemma3n_text"})), &["`text_config.model_type`", "gemma3n_text"]);
    // Keys of releases, trainers and transformers that do not change the forward pass.
    for (key, value) in [
        ("unsloth_fixed", json!(true)),
        ("unsloth_version", json!("2025.3.19")),
        ("cache_implementation", json!("hybrid")),
        ("attention_dropout", json!(0.1)),
        ("classifier_dropout", json!(0.1)),
        ("use_cache", json!(true)),
        ("id2label", json!({"0": "LABEL_0"})),
        ("top_k", json!(50)),
        ("mlp_bias", json!(false)),
        ("add_cross_attention", json!(false)),
        ("pruned_heads", json!({})),
        ("partial_rotary_factor", json!(1.0)),
        ("hidden_act", json!("gelu_pytorch_tanh")),
        ("attention_bias", json!(false)),
        ("use_bidirectional_attention", Value::Null),
        ("quantization_config", Value::Null),
        ("whatever_comes_next", Value::Null),
        ("enable_moe_block", json!(false)),
        ("comment", json!("trained on a Tuesday")),
    ] {
        assert_eq!(with(json!({ key: value })).unwrap(), with(json!({})).unwrap(), "{key} = {value}");
    }
}

#[test]
fn the_outer_table_ties_as_in_transformers() {
    let tie = "tie_word_embeddings";
    for (said, tied) in [(json!({}), true), (json!({ tie: true }), true), (json!({ tie: false }), false)] {
        let c = with(said.clone()).unwrap();
        assert_eq!(c.tied, tied, "{said}");
        assert_eq!(c.unembedding(), if tied { "embed_tokens.weight" } else { "lm_head.weight" });
        assert_eq!(c.parameters(), with(json!({})).unwrap().parameters() + if tied { 0 } else { 300 * 64 });
        assert_eq!(read(&to_json(&c).unwrap()).unwrap(), c);
    }
    for (outer, text, tied) in [
        (json!({}), json!({}), true),
        (json!({ tie: false }), json!({}), false),
        // transformers writes the class default to the inner table.
        (json!({ tie: false }), json!({ tie: true }), false),
        (json!({ tie: false }), json!({ tie: false }), false),
        (json!({ tie: true }), json!({}), true),
        (json!({}), json!({ tie: true }), true),
        (json!({}), json!({ tie: false }), false),
    ] {
        assert_eq!(nested(outer.clone(), text.clone()).unwrap().tied, tied, "{outer} {text}");
    }
    refused(with(json!({ tie: null })), &["`tie_word_embeddings` must be true or false, not null"]);
    refused(with(json!({ tie: 1 })), &["`tie_word_embeddings` must be true or false, not 1"]);
}

#[test]
fn published_shapes_are_read() {
    for name in crate::families::shapes() {
        let c = read(&crate::families::shape(name).unwrap()).unwrap();
        // Where a family is written, it is read as it was written.
        assert_eq!(to_json(&c).map(|json| read(&json).unwrap()).unwrap_or_else(|| c.clone()), c, "{name}");
    }
}
