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
