"""How chat-templates.json and hostile-chats.json were made: transformers 5.24.0, jinja2 3.1.6.

Reads their templates, tokens and chats, and writes what transformers makes of them into their place.
usage: chat_templates.py GEMMA_3_TOKENIZER_DIR
"""
import datetime, json, sys
from pathlib import Path
import jinja2, transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

here = Path(__file__).parent
by = f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}: apply_chat_template"

def write(name, doc):
    (here / name).write_text(json.dumps(doc, ensure_ascii=False, indent=1) + "\n")

# --- renderings ---
doc = json.loads((here / "chat-templates.json").read_text())
now = datetime.datetime.fromisoformat(doc["now"])
class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return now
chat_template_utils.datetime = Clock
for case in doc["cases"]:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **case["tokens"])
    tokenizer.chat_template = case["template"]
    for name, messages in doc["conversations"].items():
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            case["want"][name] = {"text": text}
        except Exception as e:
            case["want"][name] = {"error": f"{type(e).__name__}: {e}"}
doc["made_by"] = f"{by}(messages, tokenize=False, add_generation_prompt=True)"
write("chat-templates.json", doc)

# --- ids of chats whose messages hold control tokens, which are read as text ---
doc = json.loads((here / "hostile-chats.json").read_text())
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=str(Path(sys.argv[1]) / "tokenizer.json"), bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>"
)
tokenizer.chat_template = doc["template"]
for case in doc["cases"]:
    case["ids"] = list(tokenizer.apply_chat_template(
        case["chat"], add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
    ))
doc["made_by"] = f"{by}(chat, add_generation_prompt=True, sanitize_control_tokens=True), Gemma 3's tokenizer.json"
write("hostile-chats.json", doc)
