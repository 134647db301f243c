//! What is refused of files in the formats of the published suites, and broken files.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::files::{Stored, floats, npz, torch, whole};
use common::suites::{D, LEARNING, N, QWEN, SCOPE, learning, load, put, qwen, scope, sparse, trainer};
use friction_core::Site;
use friction_model::testing::backend;
use friction_sae::{Sae, load as from};
use serde_json::{Value, json};

#[test]
fn what_is_not_computed_or_contradicts_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // A key of the trainer, and another value; or a tensor, and another of its name.
    let learnt = |class: &str, key: &str, value: Value, tensors: Vec<Stored>| {
        let mut c = trainer(class);
        c["trainer"][key] = value;
        put(dir.path(), &format!("{LEARNING}/ae.pt"), &torch(&tensors));
        put(dir.path(), &format!("{LEARNING}/config.json"), c.to_string().as_bytes());
        load(dir.path(), LEARNING, None).err().unwrap_or_default()
    };
    let own = |class| learning(class, false);
    let other = |class, i: usize, tensor| {
        let mut all = own(class);
        all[i] = tensor;
        all
    };
    for (e, words) in [
        (learnt("AutoEncoder", "seed", json!(1), own("AutoEncoder")), ""),
        (
            learnt("AutoEncoder", "dict_class", json!("IdentityDict"), own("AutoEncoder")),
            "the class `IdentityDict` is not known",
        ),
        (learnt("AutoEncoder", "dict_class", json!(null), own("AutoEncoder")), "says no `dict_class`"),
        (
            learnt("AutoEncoder", "activation_dim", json!(5), own("AutoEncoder")),
            "`activation_dim` is 5, but the tensors say 4",
        ),
        (learnt("AutoEncoder", "dict_size", json!(5), own("AutoEncoder")), "`dict_size` is 5, but the tensors say 12"),
        (
            learnt("AutoEncoderTopK", "k", json!(4), own("AutoEncoderTopK")),
            "its `k` is 3, but the configuration's is 4",
        ),
        (learnt("AutoEncoderTopK", "k", json!(0), own("AutoEncoderTopK")), "`k` is 0, not a whole number from 1"),
        (learnt("AutoEncoderTopK", "k", json!(null), own("AutoEncoderTopK")), "`k` is null"),
        (
            learnt("AutoEncoder", "seed", json!(1), own("BatchTopKSAE")),
            "there is a tensor `b_dec`, which an `AutoEncoder` does not have",
        ),
        (learnt("GatedAutoEncoder", "seed", json!(1), own("AutoEncoder")), "there is a tensor `bias`"),
        (learnt("BatchTopKSAE", "seed", json!(1), own("BatchTopKSAE")[..5].to_vec()), "lacks the tensor `threshold`"),
        (
            learnt("BatchTopKSAE", "seed", json!(1), other("BatchTopKSAE", 5, floats("threshold", &[], &[-1.0]))),
            "its `threshold` is -1: training ended before it was learnt",
        ),
        (
            learnt("BatchTopKSAE", "seed", json!(1), other("BatchTopKSAE", 5, floats("threshold", &[2], &[0.1, 0.2]))),
            "`threshold` is [2], not a single number",
        ),
        (
            learnt("AutoEncoderTopK", "seed", json!(1), other("AutoEncoderTopK", 4, floats("k", &[], &[3.0]))),
            "`k` is float32 of shape [], not a single whole number",
        ),
        (
            learnt("AutoEncoder", "seed", json!(1), other("AutoEncoder", 1, whole("encoder.bias", 1))),
            "`encoder.bias` is int32; f64, f32, bf16 and f16 are read",
        ),
        (
            learnt(
                "AutoEncoder",
                "seed",
                json!(1),
                other("AutoEncoder", 1, floats("encoder.bias", &[N], &[f32::NAN; N])),
            ),
            "`encoder.bias` holds NaN",
        ),
        (
            learnt(
                "AutoEncoder",
                "seed",
                json!(1),
                other("AutoEncoder", 0, floats("encoder.weight", &[D, N], &[0.0; D * N])),
            ),
            "`encoder.weight` is [4, 12], not [12, 4]",
        ),
        (
            learnt("AutoEncoder", "submodule_name", json!("mlp_out_layer_3"), own("AutoEncoder")),
            "does not say what the autoencoder reads: set `site`",
        ),
        (learnt("AutoEncoder", "layer", json!(4), own("AutoEncoder")), "does not say what the autoencoder reads"),
    ] {
        assert!(e.contains(words) && e.is_empty() == words.is_empty(), "{e:?} is not {words:?}");
    }

    let config = json!({"k": 3, "d_in": D, "num_latents": N});
    for (key, value, words) in [
        ("transcode", json!(true), "is a transcoder"),
        ("skip_connection", json!(true), "is a transcoder"),
        ("signed", json!(true), "`signed` is true"),
        ("activation", json!("groupmax"), "the activation \"groupmax\" is not known"),
        ("k", json!(2.5), "`k` is 2.5"),
        ("k", json!(13), "`k` is 13, but the autoencoder has 12 features"),
        ("d_in", json!(5), "`d_in` is 5"),
        ("num_latents", json!(13), "`num_latents` is 13"),
    ] {
        let mut c = config.clone();
        c[key] = value;
        sparse(dir.path(), &c);
        let e = load(dir.path(), "sae-llama/layers.10", None).err().unwrap_or_default();
        assert!(e.contains(words), "{key}: {e:?} is not {words:?}");
    }
    sparse(dir.path(), &config);
    std::fs::rename(dir.path().join("sae-llama/layers.10"), dir.path().join("sae-llama/layers.10.mlp")).unwrap();
    assert!(load(dir.path(), "sae-llama/layers.10.mlp", None).err().unwrap().contains("set `site`"));

    let file = |name: &str, bytes: Vec<u8>| {
        let of = dir.path().join("one");
        let _ = std::fs::remove_dir_all(&of);
        put(&of, name, &bytes);
        load(&of, &name[..name.rfind('/').unwrap()], None).err().unwrap_or_default()
    };
    let mut more = scope();
    more.push(("scale", vec![1], vec![1.0]));
    let deflated = {
        let mut bytes = npz(&scope(), false);
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[directory + 10] = 8;
        bytes
    };
    let layer = "layer_1/width_16k/average_l0_1/params.npz";
    for (e, words) in [
        (
            file(&format!("{SCOPE}/{layer}"), npz(&more, false)),
            "there is a tensor `scale`, which an autoencoder of Gemma Scope",
        ),
        (file(&format!("{SCOPE}/{layer}"), npz(&scope()[..4], false)), "lacks the tensor `threshold`"),
        (file(&format!("{SCOPE}/{layer}"), deflated), "is deflated"),
        (file(&format!("mine/{layer}"), npz(&scope(), false)), "does not say what the autoencoder reads: set `site`"),
        (file(&format!("gemma-scope-2b-pt-transcoders/{layer}"), npz(&scope(), false)), "a transcoder of Gemma Scope"),
        (
            file(&format!("{SCOPE}/embedding/width_4k/average_l0_6/params.npz"), npz(&scope(), false)),
            "autoencoder of the embedding",
        ),
        (file("mine/layer1.sae.pt", torch(&qwen(false))), "the repository's name does"),
        (
            file("SAE-Res-Qwen3-1.7B-Base-W2K-L0_3/layer1.sae.pt", torch(&qwen(false))),
            "has 1024 features, but its repository's name says 2048",
        ),
        (file("mine/layer1.pt", torch(&qwen(false))), "holds no autoencoder"),
        (file("mine/ae.pt", torch(&qwen(false))), "its configuration is not beside it"),
        (file("mine/X-SAE-l1.pt", torch(&qwen(false))), "there is a tensor `W_dec`"),
        (file("mine/hyperparams.json", b"{}".to_vec()), "Llama Scope's format"),
        (
            file("SAE-Res-Qwen3-1.7B-Base-W1K-L0_3/layer1.sae.pt", b"\x80\x02cos\nsystem\n".to_vec()),
            "no archive of `torch.save`",
        ),
    ] {
        assert!(e.contains(words), "{e:?} is not {words:?}");
    }
}

/// Changed bytes and cuts of a file: an error that names it, or an autoencoder. The parsers' own tests change every byte.
#[test]
fn any_bytes_are_an_error_or_an_autoencoder() {
    let dir = tempfile::tempdir().unwrap();
    let config = trainer("AutoEncoderTopK").to_string();
    put(dir.path(), &format!("{LEARNING}/config.json"), config.as_bytes());
    for (folder, file, good) in [
        (LEARNING, "ae.pt", torch(&learning("AutoEncoderTopK", true))),
        ("gemma-scope-2b-pt-res/layer_1", "params.npz", npz(&scope(), true)),
    ] {
        put(dir.path(), &format!("{folder}/{file}"), &good);
        let at = dir.path().join(folder);
        let check = |bytes: &[u8]| {
            std::fs::write(at.join(file), bytes).unwrap();
            match from::folder(&at) {
                Ok(l) => {
                    let x = vec![0.5; l.parameters.input()];
                    let wide = l.parameters.output();
                    let sae = Sae::new(l.parameters, backend().unwrap(), 0).unwrap();
                    assert_eq!(sae.decode(&sae.encode(&x), &x).len(), wide);
                }
                Err(e) => assert!(e.to_string().contains(file) && e.to_string().contains(folder), "{e}"),
            }
        };
        for i in (0..good.len()).step_by(3) {
            check(&good[..i]);
            let mut bytes = good.clone();
            bytes[i] = bytes[i].wrapping_add(1 + (i % 255) as u8);
            check(&bytes);
        }
    }
}

/// A manifest's `site` is for files that do not say one; one that contradicts them is another autoencoder's.
#[test]
fn another_site_than_the_files_say_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({"architecture": "standard", "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.3.hook_resid_pre"}});
    put(dir.path(), "lens/cfg.json", config.to_string().as_bytes());
    put(dir.path(), "lens/sae_weights.safetensors", &[]);
    let config = json!({"architecture": "standard", "hook_name": "blocks.3.ln2.hook_normalized"});
    put(dir.path(), "norm/cfg.json", config.to_string().as_bytes());
    put(dir.path(), "norm/sae_weights.safetensors", &[]);
    let mut module = trainer("AutoEncoder");
    module["trainer"]["submodule_name"] = json!("mlp_out_layer_3");
    put(dir.path(), "learning/config.json", module.to_string().as_bytes());
    put(dir.path(), "learning/ae.pt", &[]);
    put(dir.path(), "layers.3.mlp/cfg.json", b"{}");
    put(dir.path(), "layers.3.mlp/sae.safetensors", &[]);
    put(dir.path(), "scope/layer_3/width_16k/average_l0_71/params.npz", &[]);
    put(dir.path(), &format!("{QWEN}/layer3.sae.pt"), &[]);
    let qwen = format!("{QWEN}/layer3.sae.pt");
    let scope = "scope/layer_3/width_16k/average_l0_71";
    for (at, site, words) in [
        ("lens", Site::ResidPre(3), ""),
        // The same activations by another name.
        ("lens", Site::ResidPost(2), ""),
        ("lens", Site::ResidPost(3), "`site` is `resid_post.3`, but "),
        ("lens", Site::MlpOut(3), "is of `resid_pre.3`"),
        ("norm", Site::MlpIn(3), ""),
        ("norm", Site::MlpIn(4), "is of layer 3"),
        ("learning", Site::MlpOut(3), ""),
        ("learning", Site::MlpOut(1), "is of layer 3"),
        ("layers.3.mlp", Site::MlpOut(3), ""),
        ("layers.3.mlp", Site::MlpOut(1), "is of layer 3"),
        (scope, Site::ResidPost(3), ""),
        (scope, Site::ResidPost(20), "is of layer 3"),
        (qwen.as_str(), Site::ResidPre(4), ""),
        (qwen.as_str(), Site::ResidPost(12), "is of `resid_post.3`"),
    ] {
        let found = from::find(&dir.path().join(at)).unwrap();
        match found.sites(Some(site)) {
            Ok(sites) => assert!(words.is_empty() && sites == (site, site), "{at} at {site}: {sites:?}"),
            Err(e) => assert!(!words.is_empty() && e.to_string().contains(words), "{at} at {site}: {e}"),
        }
    }
}
