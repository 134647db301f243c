"""Writes five-shot.json: prompts of lm-evaluation-harness's task mmlu_pro for questions made here.

    python3 five_shot.py lm-evaluation-harness/lm_eval/tasks/mmlu_pro > five-shot.json

The task's own functions (utils.py) write questions and worked answers; the description and the pattern are read from its
YAML files. They are joined as ConfigurableTask.fewshot_context joins them without a chat template: the description, for
each example its question, a space, its answer and a blank line, and the question.
"""
import json, re, sys

folder = sys.argv[1]
sys.path.insert(0, folder)
import utils

cot = "A: Let's think step by step. "
examples, questions = [], []
for subject in ["computer science", "law"]:
    for i in range(6):
        options = [f"{subject} {i}{c}" for c in "abcdefghij"[: 3 + i]]
        examples.append({
            "question": f"  Example {i} of {subject}?\nA second line." if i == 2 else f"Example {i} of {subject}?",
            "options": options, "answer_index": i % 3, "category": subject,
            "cot_content": cot + f"We weigh the {len(options)} options. \"A: Let's think step by step. \" The answer is ({'ABC'[i % 3]}).",
        })
    for i, raw in enumerate([f"What is {subject}?", f"Why is {subject} so? ", f"\nHow?"]):
        questions.append({"question": raw + (subject if i == 2 else ""), "options": [" one", "two ", "three", "four"][: 3 + i % 2], "answer_index": i, "category": subject, "cot_content": ""})

prompts = {}
for q in questions:
    name = q["category"].replace(" ", "_")
    yaml = open(f"{folder}/mmlu_pro_{name}.yaml").read()
    description = json.loads(re.search(r"^description: (\".*\")$", yaml, re.M).group(1))
    docs = [e for e in examples if e["category"] == q["category"]]
    for n in [0, 2, 5]:
        shots = "".join(utils.fewshot_to_text(d) + " " + utils.fewshot_to_target(d) + "\n\n" for d in docs[:n])
        prompts.setdefault(str(n), []).append(description + shots + utils.doc_to_text(q))

pattern = re.search(r"regex_pattern: '(.*)'", open(f"{folder}/_default_template_yaml").read()).group(1)
replies = ["The answer is (C).", "so the answer is B", "the answer is (J", "Answer: D", "answer is K, no, answer is (A)", "The Answer is B", "answer is not A; answer is E"]
read = [(re.findall(pattern, r) or [None])[0] for r in replies]
print(json.dumps({"examples": examples, "questions": questions, "prompts": prompts, "replies": replies, "read": read}, indent=1, ensure_ascii=False))
