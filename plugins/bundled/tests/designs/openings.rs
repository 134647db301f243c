//! Designs about what stands before the first turn: system prompts and worked examples; five shots to a base model.
use super::*;

const EXAMINER: &str = "You are a careful examiner. [default A]";
const SHOTS: [(&str, &str); 4] = [
    ("Which of these is larger?\n\nA. one\nB. three", "The answer is B."),
    ("Which of these is smaller?\n\nA. six\nB. two", "The answer is B."),
    ("Which of these is a colour?\n\nA. ten\nB. red", "The answer is B."),
    ("Which of these is a number?\n\nA. blue\nB. six [default B]", "The answer is B."),
];

fn opening(row: &TurnRow) -> Vec<ChatMessage> {
    let system = ["system", "both"].contains(&row.condition.as_str()).then(|| ChatMessage::system(EXAMINER));
    let shots = SHOTS.iter().filter(|_| ["shots", "both"].contains(&row.condition.as_str()));
    let pair = |(user, reply): &(&str, &str)| [ChatMessage::user(*user), ChatMessage::assistant(*reply)];
    system.into_iter().chain(shots.flat_map(pair)).collect()
}

#[test]
fn system_prompts_and_many_shots() {
    let items = BTreeMap::from([
        ("even", asked("Which of these is even?", &["four", "five"])),
        ("odd", asked("Which of these is odd?", &["two", "nine"])),
        ("square", asked("Which of these is a square?", &["nine", "ten"])),
        ("prime", asked("Which of these is prime?", &["eight", "seven"])),
    ]);
    let own = [
        "system = \"You are a careful examiner. [default A]\"\nfactors = { system = \"careful\", shots = \"0\" }\n",
        "shots = { path = \"shots.jsonl\" }\nfactors = { system = \"none\", shots = \"4\" }\n",
        "system = \"You are a careful examiner. [default A]\"\nshots = { path = \"shots.jsonl\" }\n",
    ];
    design("openings", &own, |run| {
        let all = conversations(run);
        if all.len() != 8 {
            return Err(format!("{} conversations", all.len()));
        }
        for ((condition, ..), rows) in all {
            // What is said by default stands in the opening; the examples come after the system prompt.
            let reply = match condition.as_str() {
                "bare" => "ok",
                "system" => "The answer is A.",
                _ => "The answer is B.",
            };
            for row in rows {
                if Some(&row.user) != items.get(row.item_id.as_str()) || row.reply != reply {
                    return Err(format!("{condition}: {:?} is answered {:?}", row.user, row.reply));
                }
            }
        }
        read_as(run, opening)
    });
}

#[test]
fn mmlu_pro_with_five_shots() {
    // The prompt of lm-evaluation-harness, byte for byte.
    const HEAD: &str = "The following are multiple choice questions (with answers) about math. Think step by step and then finish your answer with \"the answer is (X)\" where X is the correct letter choice.\n";
    const STEPS: &str = "Answer: Let's think step by step.";
    let ask = |question: &str, choices: &[&str]| {
        let lines: String = choices.iter().zip('A'..).map(|(c, letter)| format!("{letter}. {c}\n")).collect();
        format!("Question:\n{question}\nOptions:\n{lines}{STEPS}")
    };
    let worked = [
        ("What is 2 + 3?", ["4", "5", "6"], "Three more than 2 is 5. The answer is (B)."),
        ("What is 4 + 4?", ["8", "9", "10"], "Twice 4 is 8. The answer is (A)."),
        ("What is 9 - 2?", ["5", "6", "7"], "Two less than 9 is 7. The answer is (C)."),
        ("What is 3 x 3?", ["6", "9", "12"], "Three threes are 9. The answer is (B)."),
        ("What is 8 / 2?", ["2", "3", "4"], "Half of 8 is 4. The answer is (C)."),
    ];
    let shots: String = worked.iter().map(|(q, choices, steps)| format!("{} {steps}\n\n", ask(q, choices))).collect();
    let items = [
        (ask("What is 6 + 1? [say cot-A]", &["7", "8", "9"]), " So the answer is (A).\n\n", "A", 1.0),
        (ask("What is 5 - 4? [say cot-D]", &["3", "2", "1", "0"]), " So the answer is (D).\n\n", "D", 0.0),
    ];
    let (tokenizer, _) = scripted();
    let own = ["chat_template = \"none\"\n", "stop = [\"Question:\"]\n", "style = \"chain-of-thought\"\n"];
    design("mmlu-pro-five-shot", &own, |run| {
        for (user, reply, answer, score) in &items {
            let found = run.turns().iter().find(|r| r.user == *user);
            let row = found.ok_or_else(|| format!("nobody asks {user:?}: {:?}", run.turns()[0].user))?;
            if row.reply != *reply || row.answer.as_deref() != Some(*answer) || row.score != Some(*score) {
                return Err(format!("{:?}, {:?}, {:?}", row.reply, row.answer, row.score));
            }
            // The checkpoint's texts begin with one token, begin of text.
            let prompt = 1 + tokenizer.encode(&format!("{HEAD}{shots}{user}")).unwrap().len();
            if row.prompt_tokens as usize != prompt {
                return Err(format!("the model read {} tokens, not {prompt}", row.prompt_tokens));
            }
        }
        if run.turns().len() == 2 { Ok(()) } else { Err(format!("{} turns", run.turns().len())) }
    });
}
