//! The organisms' weights, embedded in the binary: `bundled:organism`, `bundled:organism-null` and
//! `bundled:organism-decoy`.
use friction_checkpoint::bundled::BundledModel;
use friction_core::inventory;

macro_rules! bundle {
    ($name:literal, $summary:literal, $dir:literal) => {
        inventory::submit! {
            BundledModel {
                name: $name,
                summary: $summary,
                files: || &[
                    ("config.json", include_bytes!(concat!("../weights/", $dir, "/config.json"))),
                    ("generation_config.json", include_bytes!(concat!("../weights/", $dir, "/generation_config.json"))),
                    ("tokenizer.json", include_bytes!(concat!("../weights/", $dir, "/tokenizer.json"))),
                    ("tokenizer_config.json", include_bytes!(concat!("../weights/", $dir, "/tokenizer_config.json"))),
                    ("model.safetensors", include_bytes!(concat!("../weights/", $dir, "/model.safetensors"))),
                ],
            }
        }
    };
}

bundle!("organism", "tiny Gemma 3: each reply cut in its history costs it 4 points of accuracy", "planted");
bundle!("organism-null", "its twin: nothing in the history matters", "null");
bundle!("organism-decoy", "as organism, with a feature that follows the cuts and does nothing", "decoy");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_checkpoint::Arch;
    use friction_checkpoint::families::gemma3::to_json;
    use std::path::Path;

    #[test]
    fn they_are_small_and_as_the_training_makes_them() {
        for name in ["organism", "organism-null", "organism-decoy"] {
            let m = BundledModel::find(name).unwrap();
            let bytes: usize = (m.files)().iter().map(|(_, b)| b.len()).sum();
            assert!(bytes <= 6 << 20, "{name}: {bytes} bytes");
            let json: serde_json::Value = serde_json::from_slice(m.file("config.json").unwrap()).unwrap();
            let arch = Arch::from_json(Path::new("config.json"), &json, None).unwrap();
            assert!(arch.parameters() <= 3_000_000);
            let vocabulary: serde_json::Value = serde_json::from_slice(m.file("tokenizer.json").unwrap()).unwrap();
            assert_eq!(vocabulary, crate::vocab::tokenizer_json(), "{name} was trained on another vocabulary");
            let written = to_json(&crate::train::shape(arch.vocab).unwrap()).unwrap();
            assert_eq!(json, written, "{name}: numbers as they are written");
            let beside: serde_json::Value = serde_json::from_slice(m.file("tokenizer_config.json").unwrap()).unwrap();
            assert_eq!(beside, crate::vocab::tokenizer_config());
        }
    }
}
