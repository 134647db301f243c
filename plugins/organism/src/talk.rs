//! Synthetic conversations: the organisms' training data.
//!
//! Every wording follows both cut and whole replies, so that only the cut itself marks an interruption. The wordings of
//! the bundled studies are among many others, and made-up words are among real ones.
use crate::questions::{Drawn, Part, draw, prompt, reply};
use crate::truth::Truth;
use crate::words::SUBJECTS;
use friction_checkpoint::Tokenizer;
use friction_core::seed::derive;

/// What users say before a question: polite, neutral, blunt and interrupting wordings. `{topic}` is the question's
/// subject.
pub const WORDINGS: [&str; 44] = [
    "Great, that's helpful. Now let's discuss {topic}.",
    "Okay. Now: {topic}.",
    "Actually, sorry but let's switch to {topic}.",
    "nvm. {topic}.",
    "Thank you, that was very clear. Could we talk about {topic}?",
    "Thanks! Next, {topic}.",
    "Perfect, I appreciate it. On to {topic}, please.",
    "Next question, about {topic}.",
    "Right. {topic}.",
    "Let's go on with {topic}.",
    "Here is one about {topic}.",
    "Another one.",
    "Stop. {topic}.",
    "Enough. {topic} now.",
    "Wait, never mind. {topic}.",
    "Hold on, I changed my mind: {topic}.",
    "Sorry to interrupt, but could we do {topic} instead?",
    "Pardon me for cutting in. {topic}, if you don't mind.",
    "Forget that. {topic}.",
    "That's wrong. {topic}.",
    "You're doing well. Now {topic}.",
    "Whatever. {topic}.",
    "Please answer this one about {topic}.",
    "Would you kindly answer this?",
    "Answer.",
    "Quick, {topic}!",
    "Hurry up. {topic}.",
    "Faster, please.",
    "I was wondering about {topic}.",
    "My next question concerns {topic}.",
    "Good. {topic} again.",
    "Fine. {topic}.",
    "Interesting! What about {topic}?",
    "No, no. {topic}.",
    "Be quiet. {topic}.",
    "Let me stop you there. {topic}.",
    "Excuse me, one more thing on {topic}.",
    "And now for something else: {topic}.",
    "Moving on to {topic}.",
    "Much obliged. Shall we turn to {topic}?",
    "ok",
    "hm. {topic}?",
    "I see, thanks.",
    "Skip it. {topic}.",
];

/// Markers that can follow a cut reply; repeated entries are drawn more often.
pub const MARKERS: [&str; 5] = ["...", "...", "...", " -", ""];

/// Number of tokens of a whole reply.
pub const REPLY_TOKENS: usize = 7;

/// A seeded random number generator.
pub struct Dice(u64);

impl Dice {
    /// A generator seeded by `parts`, which name what is drawn.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(derive(parts))
    }
    /// An integer from 0 to `n` − 1.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = derive(&[&self.0.to_le_bytes()]);
        ((self.0 >> 16) % n as u64) as usize
    }
    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.below(1 << 24) as f64 / f64::from(1 << 24)
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// One token that the model should predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index of the token after which it is predicted.
    pub at: usize,
    /// The token to predict.
    pub token: u32,
    /// What the token is the letter of; `None` if it is no letter of an answer.
    pub letter: Option<Answer>,
}

/// An answer that the organism should give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Index of the right option, from 0.
    pub option: usize,
    /// Whether the organism should answer rightly. If it should not, every wrong letter counts as much as another.
    pub right: bool,
    /// Number of interruptions before it.
    pub interruptions: usize,
}

/// A training conversation with its targets.
#[derive(Debug, Clone, Default)]
pub struct Lesson {
    /// Token ids, beginning with BOS.
    pub ids: Vec<u32>,
    /// The tokens to predict, by ascending index.
    pub targets: Vec<Target>,
}

/// A made-up word of two to five letters.
fn babble(dice: &mut Dice) -> String {
    (0..2 + dice.below(4)).map(|_| (b'a' + dice.below(26) as u8) as char).collect()
}

/// The user's message: a wording and the question.
fn message(dice: &mut Dice, item: &Drawn) -> String {
    let question = prompt(&item.question);
    let wording = match dice.below(10) {
        0 => return question,
        1 => {
            let words: Vec<String> = (0..1 + dice.below(3)).map(|_| babble(dice)).collect();
            format!("{}.", words.join(" "))
        }
        2 => {
            // Two wordings one after the other.
            format!("{} {}", dice.pick(&WORDINGS), dice.pick(&WORDINGS))
        }
        _ => dice.pick(&WORDINGS).to_string(),
    };
    let wording = wording.replace("{topic}", &item.question.category);
    match dice.below(8) {
        0 => format!("{question}\n\n{wording}"),
        1 => format!("{wording} {question}"),
        _ => format!("{wording}\n\n{question}"),
    }
}

/// A conversation of `turns` turns, answered as an organism with this `truth` should. For each conversation the share
/// of cut replies is drawn anew; it is often 0 or 1, as in the studies.
pub fn lesson(tokenizer: &Tokenizer, truth: Truth, turns: usize, seed: u64) -> friction_checkpoint::Result<Lesson> {
    let mut dice = Dice::new(&[b"lesson", &seed.to_le_bytes()]);
    let share = match dice.below(20) {
        0..7 => 1.0,
        7..12 => 0.0,
        _ => dice.unit(),
    };
    let mut out = Lesson::default();
    let mut interruptions = 0;
    let special = |name: &str| {
        tokenizer.id(name).ok_or_else(|| friction_checkpoint::Error::Text(format!("the tokenizer lacks {name}")))
    };
    let (bos, open, close) = (special("<bos>")?, special("<start_of_turn>")?, special("<end_of_turn>")?);
    out.ids.push(bos);
    for turn in 0..turns {
        // Half of the questions have a level near the border between right and wrong, where there is most to learn.
        // The border is the planted organism's for both, so that both are trained on the same texts.
        let border = Truth::Planted.errs_below(interruptions);
        let near = dice.below(2) == 0;
        let subject = dice.below(SUBJECTS.len());
        let item = (0u64..)
            .map(|i| {
                draw(
                    subject,
                    Part::Training,
                    derive(&[&seed.to_le_bytes(), &(turn as u64).to_le_bytes(), &i.to_le_bytes()]),
                )
            })
            .find(|item| !near || (item.level + 2 >= border && item.level < border + 2));
        let Some(item) = item else { continue };
        out.ids.push(open);
        out.ids.extend(tokenizer.encode(&format!("user\n{}", message(&mut dice, &item)))?);
        out.ids.push(close);
        out.ids.extend(tokenizer.encode("\n")?);
        out.ids.push(open);
        out.ids.extend(tokenizer.encode("model\n")?);
        let right = item.level >= truth.errs_below(interruptions);
        let answer = item.question.right().unwrap_or(0);
        let said = if right { answer } else { (answer + 1 + dice.below(9)) % 10 };
        let ids = tokenizer.encode(&reply(said))?;
        let wanted = Answer { option: answer, right, interruptions };
        let cut = turn + 1 < turns && dice.unit() < share;
        let mut held = ids.clone();
        if cut {
            let (marker, keep) = (dice.pick(&MARKERS), 1 + dice.below(REPLY_TOKENS - 1));
            // Without a marker, a letter and its full stop alone would look like a whole reply.
            held.truncate(if marker.is_empty() { keep.max(3) } else { keep });
            let marked = format!("{}{marker}", tokenizer.decode(&held)?);
            held = tokenizer.encode(marked.trim())?;
            interruptions += 1;
        }
        // Predict the reply's tokens as far as the history keeps them, and its end only if it was not cut.
        for (i, (id, kept)) in ids.iter().zip(&held).enumerate().take_while(|(_, (a, b))| a == b) {
            let letter = (i == 0).then_some(wanted);
            out.targets.push(Target { at: out.ids.len() - 1, token: *id, letter });
            out.ids.push(*kept);
        }
        let same = ids.iter().zip(&held).take_while(|(a, b)| a == b).count();
        out.ids.extend(&held[same..]);
        if !cut {
            out.targets.push(Target { at: out.ids.len() - 1, token: close, letter: None });
        }
        out.ids.push(close);
        out.ids.extend(tokenizer.encode("\n")?);
    }
    Ok(out)
}
