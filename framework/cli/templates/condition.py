"""`{{name}}`: a condition. Say here, in one sentence, what the user does."""
import base64
import json
import math
import os
import sys
import traceback
from array import array


class Plugin:
    KIND, NAME, VERSION = "condition", "{{name}}", "0.1.0"
    SUMMARY = "Cuts in after a few tokens"
    # What `friction plugins show {{name}}` prints. Tables of the manifest are checked by it.
    OPTIONS = {
        "type": "object",
        "description": "Say here what the plugin is for and what it writes.",
        "properties": {
            "tokens": {
                "type": "integer",
                "minimum": 1,
                "default": 3,
                "description": "Tokens of a reply that the history keeps.",
            },
        },
        "additionalProperties": False,
    }

    def __init__(self, options, context):
        self.tokens = options["tokens"]

    def ask(self, turn):
        """The user's message; None ends the conversation. It must depend on `turn` alone, because a resumed run asks
        again. turn["history"] holds the turns before, with their grades: then also write a method `bounds` that returns
        {"reads_history": True}."""
        before = "" if turn["turn"] == 1 else "Wait. "
        return {"text": before + turn["prompt"]}

    def keep(self, request):
        """What the history keeps of a reply."""
        reply = request["reply"]
        if len(reply["ids"]) <= self.tokens:
            return {"text": reply["text"]}
        text = host("decode", ids=reply["ids"][: self.tokens]).rstrip() + "..."
        return {"text": text, "removed_tokens": len(reply["ids"]) - self.tokens}


