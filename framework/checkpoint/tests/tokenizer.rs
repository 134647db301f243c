//! Ids of Gemma's tokenizer.json and of the one inside the GGUF file, against transformers, on 12,000
//! varied lines. `data/oracle.py` made the expected hashes and makes the same lines.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_checkpoint::{Tokenizer, weights::gguf::Gguf};
use friction_parquet::{Ask, Want};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const WORDS: &str = "the of and Gemma interrupt politeness naïve café Übung 東京 Привет مرحبا नमस्ते 안녕 x² don't it's ﬁne e\u{301} A-J (B) H₂O µm 1/2 ½ ∑ → 👍 👩‍🔬 🇩🇪";
const CODE: [&str; 10] = [
    "def f(x):\n    return x",
    "for (int i=0;i<n;++i) {",
    "\t\treturn &self.map[\"k\"];",
    "<table><tr><td>",
    "</b>",
    "<start_of_turn>",
    "http://a.b/c?d=e",
    "\\frac{a}{b}",
    "<unused7>",
    "[multimodal]",
];
const RANGES: [(u32, u32); 15] = [
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x600, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x2000, 0x206F),
    (0x2200, 0x22FF),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xE000, 0xE0FF),
    (0x1F300, 0x1F6FF),
    (0x20000, 0x200FF),
];

fn models() -> PathBuf {
    std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    )
}

struct Draw(u64);
impl Draw {
    fn next(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
    fn fragment(&mut self) -> String {
        let words: Vec<&str> = WORDS.split(' ').collect();
        match self.next(7) {
            0 => words[self.next(words.len() as u64) as usize].into(),
            1 => (0..1 + self.next(6)).map(|_| char::from_u32(33 + self.next(94) as u32).unwrap()).collect(),
            2 => {
                let c = [" ", "\n", "\t"][self.next(3) as usize];
                c.repeat(1 + self.next(9) as usize)
            }
            3 => {
                let (a, b) = RANGES[self.next(15) as usize];
                (0..1 + self.next(6))
                    .map(|_| char::from_u32(a + self.next(u64::from(b - a) + 1) as u32).unwrap())
                    .collect()
            }
            4 => {
                let digits = 1 + self.next(9) as u32;
                self.next(10u64.pow(digits)).to_string()
            }
            5 => CODE[self.next(10) as usize].into(),
            _ => format!(" {}", words[self.next(words.len() as u64) as usize]),
        }
    }
}

fn lines(mmlu: &Path) -> Vec<String> {
    let mut d = Draw(1);
    let mut out: Vec<String> = (0..10_000)
        .map(|_| {
            let n = 1 + d.next(12);
            (0..n).map(|_| d.fragment()).collect()
        })
        .collect();
    let asks = [Ask::needed("question", Want::Text), Ask::needed("options", Want::Texts)];
    let table = friction_parquet::read(std::fs::read(mmlu).unwrap(), &asks).unwrap();
    out.extend((0..table.rows()).map(|row| table.need_text("question", row).unwrap().to_string()));
    out.extend((0..table.rows()).map(|row| table.need_texts("options", row).unwrap().join("\n")));
    out
}

fn check(tokenizer: &Tokenizer, name: &str, lines: &[String]) {
    let want: serde_json::Value = serde_json::from_str(include_str!("data/tokenizer-ids.json")).unwrap();
    assert_eq!(lines.len() as u64, want["lines"].as_u64().unwrap());
    let mut total = 0;
    for (i, (chunk, hash)) in lines.chunks(100).zip(want["sha256_of_100_lines"].as_array().unwrap()).enumerate() {
        let mut sha = Sha256::new();
        for line in chunk {
            let ids = tokenizer.encode(line).unwrap();
            total += ids.len() as u64;
            sha.update(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ") + "\n");
        }
        let got: String = sha.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
        assert_eq!(got, hash.as_str().unwrap(), "{name}: lines {} to {}", i * 100, i * 100 + 99);
    }
    assert_eq!(total, want["ids"].as_u64().unwrap());
    println!("{name}: {} lines, {total} ids equal", lines.len());
}

#[test]
fn ids_equal_transformers() {
    let models = models();
    let (json, gguf) = (models.join("gemma3-tokenizer/tokenizer.json"), models.join("gemma-3-270m-q4_k_m.gguf"));
    let mmlu = std::env::var_os("FRICTION_DATA")
        .map(|d| PathBuf::from(d).join("mmlu-pro-sample.parquet"))
        .filter(|p| p.exists());
    let Some(mmlu) = mmlu else {
        eprintln!("SKIPPED: set FRICTION_DATA to the folder that holds mmlu-pro-sample.parquet");
        return;
    };
    let lines = lines(&mmlu);
    for (path, name) in [(&json, "tokenizer.json"), (&gguf, "GGUF")] {
        if !path.exists() {
            eprintln!("SKIPPED: no {}", path.display());
            continue;
        }
        let t = if name == "GGUF" {
            Tokenizer::from_gguf(&Gguf::open(path).unwrap()).unwrap()
        } else {
            Tokenizer::from_file(path).unwrap()
        };
        check(&t, name, &lines);
        let text = "Übung 東京\n\n  👩‍🔬\tx";
        assert_eq!(t.decode(&t.encode(text).unwrap()).unwrap(), text);
    }
}

/// The text-only Gemmas have 262,144 rows; their tokenizer has one special token more.
#[test]
fn special_tokens_may_lie_beyond_the_vocabulary() {
    let mut json: serde_json::Value = serde_json::from_str(&friction_checkpoint::testing::tokenizer_json()).unwrap();
    let plain = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    json["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
        "id": plain.vocab(), "content": "<image_soft_token>", "special": true, "normalized": false,
        "lstrip": false, "rstrip": false, "single_word": false
    }));
    let more = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    assert_eq!(more.vocab(), plain.vocab() + 1);
    assert_eq!(more.ids_of_text(), plain.vocab());
    assert!(more.specials().contains(&"<image_soft_token>".to_string()));
    let path = models().join("gemma3-tokenizer/tokenizer.json");
    if path.exists() {
        assert_eq!(Tokenizer::from_file(&path).unwrap().ids_of_text(), 262_144);
    } else {
        eprintln!("SKIPPED: no {}", path.display());
    }
}
