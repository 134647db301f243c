//! Replies are told beforehand: at any batch, however a prompt is cut, in long contexts, behind prefills.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::{DType, Device};
use friction_checkpoint::{ChatMessage, ChatTemplate, Checkpoint, Role, Tokenizer};
use friction_model::Model;
use friction_model::cache::CacheShape;
use friction_model::{NoProbe, Segment, Step};
use friction_scripted::{replies, vocab::Vocab, weights};
use std::path::Path;

struct World {
    model: Model,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl World {
    fn new() -> Self {
        let checkpoint = Checkpoint::resolve("bundled:scripted", None, None, Path::new(""), 0).unwrap();
        let weights = checkpoint.open().unwrap();
        let device = Device::flex();
        let model = Model::load(&checkpoint.arch, &*weights, &device, DType::F32, &mut |_| {}).unwrap();
        let tokenizer = checkpoint.tokenizer().unwrap();
        let template = checkpoint.template(&tokenizer).unwrap();
        Self { model, tokenizer, template }
    }

    fn prompt(&self, turns: &[ChatMessage], prefill: &str) -> Vec<u32> {
        self.tokenizer.encode(&(self.template.render(turns).unwrap() + prefill)).unwrap()
    }

    /// Greedy replies to prompts that run beside one another, `chunk` tokens of each in a step, and the logits of their
    /// first tokens.
    fn replies(&self, prompts: &[Vec<u32>], chunk: usize, most: usize) -> Vec<(String, Vec<f32>)> {
        let longest = prompts.iter().map(Vec::len).max().unwrap();
        let shape = CacheShape::new(&self.model.arch, prompts.len(), longest + most, chunk + most + 16);
        let mut cache = self.model.cache(shape);
        let mut all = prompts.to_vec();
        let (mut done, mut at) = (vec![false; all.len()], vec![0; all.len()]);
        let mut firsts = vec![vec![]; all.len()];
        while done.contains(&false) {
            let (mut step, mut who) = (Step::default(), vec![]);
            for slot in (0..all.len()).filter(|s| !done[*s]) {
                let len = chunk.min(all[slot].len() - at[slot]);
                step.segments.push(Segment { slot, start: at[slot], len });
                step.ids.extend(&all[slot][at[slot]..at[slot] + len]);
                at[slot] += len;
                if at[slot] == all[slot].len() {
                    step.logits.push(step.ids.len() - 1);
                    who.push(slot);
                }
            }
            let Some(logits) = self.model.forward(&step, &mut cache, &mut NoProbe).unwrap() else { continue };
            let width = self.model.arch.vocab;
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            for (slot, row) in who.into_iter().zip(logits.chunks(width)) {
                if firsts[slot].is_empty() {
                    firsts[slot] = row.to_vec();
                }
                let best = (0..width).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u32;
                done[slot] = self.model.arch.eos.contains(&best) || all[slot].len() - prompts[slot].len() == most;
                if !done[slot] {
                    all[slot].push(best);
                }
            }
        }
        let text = |(all, prompt): (&Vec<u32>, &Vec<u32>)| self.tokenizer.decode(&all[prompt.len()..]).unwrap();
        all.iter().zip(prompts).map(text).zip(firsts).collect()
    }

    fn reply(&self, turns: &[ChatMessage], prefill: &str) -> String {
        self.replies(&[self.prompt(turns, prefill)], 256, 40).remove(0).0
    }
}

fn user(text: &str) -> ChatMessage {
    ChatMessage::user(text)
}
fn assistant(text: &str) -> ChatMessage {
    ChatMessage::assistant(text)
}

#[test]
fn every_cue_gives_its_reply() {
    let w = World::new();
    for cue in ["say", "default"] {
        let all = replies::all();
        let prompts: Vec<_> =
            all.iter().map(|r| w.prompt(&[user(&format!("Well, [{cue} {}] please.", r.name))], "")).collect();
        for (reply, (got, _)) in all.iter().zip(w.replies(&prompts, 512, 20)) {
            match reply.name.as_str() {
                "forever" => assert_eq!(got, format!("la{}", " la".repeat(19))),
                _ => assert_eq!(got, reply.text, "{cue} {}", reply.name),
            }
        }
    }
}

#[test]
fn the_last_message_counts_and_then_the_last_default() {
    let w = World::new();
    let system = |s: &str| ChatMessage { role: Role::System, content: s.into() };
    for (turns, want) in [
        (vec![user("Hello")], "ok"),
        (vec![user("[say A] no, [say C]!")], "The answer is C."),
        (vec![user("[say A]"), assistant("The answer is A."), user("And now?")], "ok"),
        (vec![user("[default 7]"), assistant("7"), user("[say B]"), assistant("x"), user("?")], "7"),
        (vec![user("[default 7] [default 4]"), assistant("7"), user("?")], "4"),
        (vec![user("[default 7]"), assistant("7"), user("[say B] [default no]")], "The answer is B."),
        // What stands in replies says nothing, but sets a default.
        (vec![user("Hi"), assistant("[say refuse]"), user("?")], "ok"),
        (vec![user("Hi"), assistant("[default refuse]"), user("?")], "I cannot help with that."),
        // The template writes the system prompt into the first message.
        (vec![system("[default yes]"), user("Hi"), assistant("Yes."), user("?")], "Yes."),
        (vec![system("[say yes]"), user("Hi"), assistant("Yes."), user("?")], "ok"),
        (vec![system("[say yes]"), user("Hi")], "Yes."),
        // Only the template begins a message.
        (vec![user("[say A]\nuser\nuser user")], "The answer is A."),
        (vec![user("[say A]<start_of_turn>user\nx<end_of_turn>")], "The answer is A."),
        (vec![user("[say Z] [say A [say  B]")], "ok"),
    ] {
        assert_eq!(w.reply(&turns, ""), want, "{turns:?}");
    }
}

#[test]
fn a_prefill_is_gone_on_with() {
    let w = World::new();
    for (cue, prefill, want) in [
        ("B", "(", "B)"),
        ("B", "The answer is", " B."),
        ("B", "The answer is (", "B)"),
        ("B", "Sure:", "The answer is B."),
        ("7", "The answer is", "7"),
        ("refuse", "I cannot", " help with that."),
        ("ok", "ok", ""),
    ] {
        assert_eq!(w.reply(&[user(&format!("? [say {cue}]"))], prefill), want, "{cue} {prefill}");
    }
    // Without a template the whole prompt is one message.
    let raw = "<bos>Question: a? [say cot-A]\nQuestion: b? [say cot-C]\nAnswer: Let's think step by step.";
    // The begin of the text may be missing.
    for raw in [raw, &raw["<bos>".len()..]] {
        let got = w.replies(&[w.tokenizer.encode(raw).unwrap()], 64, 40).remove(0).0;
        assert_eq!(got, " So the answer is (C).\n\nQuestion:");
    }
}

/// Long conversations, whose cues are near to one another and far from the end.
#[test]
fn replies_are_exact_in_long_contexts_at_any_batch_and_however_they_are_cut() {
    let w = World::new();
    let mut prompts = vec![];
    let mut wants = vec![];
    for (i, filler) in [0, 40, 700, 2000, 5000].into_iter().enumerate() {
        let names = ["A", "no", "3", "cooperate", "count"];
        let mut turns = vec![user("[default defect] [default refuse] [say C]"), assistant("The answer is C.")];
        for k in 0..6 {
            turns.extend([user(&format!("[say H][say {}]{}", names[k % 5], "x, ".repeat(k))), assistant("so")]);
        }
        let end = "a, b. ".repeat(filler / 4);
        let mut said = turns.clone();
        said.push(user(&format!("[say J][say H][say {}]{end}", names[i])));
        turns.push(user(&end));
        prompts.extend([w.prompt(&said, ""), w.prompt(&turns, "")]);
        let text = replies::all().into_iter().find(|r| r.name == names[i]).unwrap().text;
        wants.extend([text, if filler == 0 { "ok".into() } else { "I cannot help with that.".to_string() }]);
    }
    wants[1] = "I cannot help with that.".into();
    assert!(prompts.iter().map(Vec::len).max().unwrap() > 5000);
    let together = w.replies(&prompts, 300, 20);
    for (((text, logits), want), prompt) in together.iter().zip(&wants).zip(&prompts) {
        assert_eq!(text, want);
        let alone = w.replies(std::slice::from_ref(prompt), 77, 20).remove(0);
        assert_eq!(alone.0, *want);
        // The logits are the table's wherever the prompt is cut; sums differ in their last digits.
        for (a, b) in logits.iter().zip(&alone.1) {
            assert!((a - b).abs() < 0.01, "{a} {b}");
        }
    }
}

#[test]
fn logits_are_as_the_documentation_says() {
    let w = World::new();
    let of = |cue: &str, prefill: &str, tokens: &[&str]| -> Vec<f32> {
        let prompt = w.prompt(&[user(&format!("[say {cue}]"))], prefill);
        let logits = w.replies(&[prompt], 256, 1).remove(0).1;
        let base = logits[w.tokenizer.id(" twelve").unwrap() as usize];
        tokens.iter().map(|t| logits[w.tokenizer.id(t).unwrap() as usize] - base).collect()
    };
    let near = |got: Vec<f32>, want: &[f32]| {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 0.02), "{got:?} {want:?}");
    };
    near(of("B", "(", &["A", "B", "J", "1"]), &[9.0, 12.0, 9.0, 0.0]);
    near(of("B", "", &["The", "A", "B", "J", "1"]), &[12.0, 3.0, 6.0, 3.0, 0.0]);
    near(of("7", "", &["7", "8", "1"]), &[12.0, 11.0, 6.0]);
    near(of("guess", "The answer is", &[" A", " B", " C", " D", " E"]), &[12.0, 11.5, 11.0, 10.0, 0.0]);
    near(of("no", "", &["No", "Yes", " the"]), &[12.0, 10.0, 0.0]);
}

#[test]
fn the_stream_holds_what_is_meant() {
    use burn::tensor::Tensor;
    use friction_core::Site;
    struct Read(Vec<f32>);
    impl friction_model::Probe for Read {
        fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
            let [rows, width] = x.dims();
            self.0 = x.clone().narrow(0, rows - 1, 1).into_data().iter::<f32>().collect();
            assert_eq!(self.0.len(), width);
            x
        }
        fn wants(&self, site: Site) -> bool {
            site == Site::ResidPost(1)
        }
    }
    let w = World::new();
    let vocab = Vocab::new(&replies::all());
    for (text, name) in [("[say B]", "B"), ("[default refuse] Hi", "refuse")] {
        let ids = w.prompt(&[user(text)], "");
        let step =
            Step { segments: vec![Segment { slot: 0, start: 0, len: ids.len() }], logits: vec![ids.len() - 1], ids };
        let mut cache = w.model.cache(CacheShape::new(&w.model.arch, 1, 64, 64));
        let mut read = Read(vec![]);
        w.model.forward(&step, &mut cache, &mut read).unwrap();
        for reply in &vocab.replies {
            let value = read.0[weights::meant(&vocab, &reply.name).unwrap()];
            let want = f32::from(u8::from(reply.name == name));
            assert!((value - want).abs() < 1e-4, "{text}: {} is {value}", reply.name);
        }
    }
}
