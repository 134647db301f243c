"""How chosen-templates.json was made: transformers 5.24.0, jinja2 3.1.6.

The templates of the program, and templates in the manner of published ones that take arguments, write the date, refuse
or drop a system message, or open a block of thought: what apply_chat_template makes of conversations and arguments.
usage: chosen_templates.py
"""
import datetime, json, re
from pathlib import Path
import jinja2, transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

here = Path(__file__).parent
rust = (here / "../../src/template/builtin.rs").read_text()
program = {name.lower(): json.loads(f'"{text}"') for name, text in re.findall(r'const (\w+): &str = "(.*)";', rust)}
assert set(program) == {"gemma", "chatml", "llama3", "plain"}

now = datetime.datetime(2026, 7, 26)
class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return now
chat_template_utils.datetime = Clock

def message(role, content):
    return {"role": role, "content": content}
conversations = {
    "one": [message("user", " Question: 2 + 2?\nAnswer:")],
    "chat": [message("user", "Hi \n"), message("assistant", " Hello.\n\n"), message("user", "Bye\n")],
    "system": [message("system", "Be brief. \n"), message("user", "Hi"), message("assistant", "Hello."), message("user", "Bye")],
    "shots": [message("system", "S"), message("user", "Q1\nA:"), message("assistant", " 1"), message("user", "Q2\nA:"), message("assistant", " 2 "), message("user", "Q3\nA:")],
    "users": [message("user", "a"), message("user", "b")],
    "thought": [message("user", "Hi"), message("assistant", "<think>\nA greeting.\n</think>\n\nHello."), message("user", "Bye")],
}
thinks = """{%- for message in messages %}
{%- set content = message.content %}
{%- if message.role == 'assistant' and '</think>' in content %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""
opens = """{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|><think>
{% endif %}"""
dated = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}"""
refuses = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}<start_of_turn>{{ message['role'] }}
{{ message['content'] | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
drops = """{% for message in messages %}{% if message.role == 'user' %}USER: {{ message.content }} ASSISTANT:{% elif message.role == 'assistant' %} {{ message.content }}</s>{% endif %}{% endfor %}"""
effort = """{%- set effort = effort | default('low', true) %}{{ effort }}|{{ style is defined }}|{{ style }}|{{ limit is none }}|{{ limit }}|{{ share }}|{{ tags | join('+') }}|{{ control.length }}|{{ control | tojson }}|{{ bos_token }}|{% for message in messages %}{{ message.content }}{% endfor %}"""
sets = [
    ("gemma", None, [{}]), ("chatml", None, [{}]), ("llama3", None, [{}]), ("plain", None, [{}]),
    ("thinks", thinks, [{}, {"enable_thinking": True}, {"enable_thinking": False}]),
    ("opens", opens, [{}]), ("dated", dated, [{}, {"date_string": "26 Jul 2024"}]), ("refuses", refuses, [{}]),
    ("drops", drops, [{}]),
    ("effort", effort, [
        {}, {"effort": "high", "style": "terse", "limit": 3, "share": 0.5, "tags": ["a", "b"], "control": {"length": "short", "a": [1, 2.0, True]}},
        {"effort": "", "style": "", "limit": -1, "share": 1e-7, "tags": "ab", "control": {}, "bos_token": "<other>"},
    ]),
]
tokens = {"bos_token": "<s>", "eos_token": "</s>"}
cases = []
for name, template, all_args in sets:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **tokens)
    tokenizer.chat_template = template or program[name]
    for args in all_args:
        want = {}
        for which, messages in conversations.items():
            try:
                want[which] = {"text": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **args)}
            except Exception as e:
                want[which] = {"error": f"{type(e).__name__}: {e}"}
        cases.append({"name": name, **({"template": template} if template else {}), "args": args, "want": want})
doc = {
    "made_by": f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}: apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **args)",
    "now": now.isoformat(), "tokens": tokens, "conversations": conversations, "cases": cases,
}
(here / "chosen-templates.json").write_text(json.dumps(doc, ensure_ascii=False, indent=1) + "\n")
