"""`{{name}}`: a dataset. Say here what is asked."""
import base64
import json
import math
import os
import re
import sys
import traceback
from array import array


class Plugin:
    KIND, NAME, VERSION = "dataset", "{{name}}", "0.1.0"
    SUMMARY = "Multiplication with four options"
    # What `friction plugins show {{name}}` prints. Tables of the manifest are checked by it.
    OPTIONS = {
        "type": "object",
        "description": "Say here what the plugin is for and what it writes.",
        "properties": {
            "items": {
                "type": "integer",
                "minimum": 1,
                "default": 20,
                "description": "Items of each subject.",
            },
        },
        "additionalProperties": False,
    }
    SUBJECTS = {"doubling": 2, "tripling": 3, "quadrupling": 4, "quintupling": 5}

    def __init__(self, options, context):
        # Files are read here, with paths relative to context["base"].
        self.count = options["items"]

    def categories(self, _):
        return [{"name": name, "items": self.count} for name in self.SUBJECTS]

    def items(self, subject):
        """The items of a subject. For a large file write `item` instead, which is called when an item is needed."""
        factor = self.SUBJECTS[subject]
        return [
            {
                "id": f"{subject}_{i}",
                "category": subject,
                "text": f"What is {factor} times {i}?",
                "choices": [str(factor * i + d) for d in range(4)],
                "target": 0,
            }
            for i in range(1, self.count + 1)
        ]

    def prompt(self, item):
        """The user's message for an item."""
        choices = "\n".join(f"{chr(65 + i)}. {c}" for i, c in enumerate(item["choices"]))
        return f"{item['text']}\n\n{choices}\n\nPlease provide your answer as a single letter."

    def grade(self, request):
        """Reads the answer out of a reply. A score of None: nothing is right or wrong about it."""
        item, reply = request["item"], request["reply"]
        letters = [chr(65 + i) for i in range(len(item["choices"]))]
        words = re.findall(r"[A-Za-z]+", reply)
        found = next((w for w in words if w in letters), None)
        right = found == letters[item["target"]]
        return {"score": 1.0 if right else 0.0, "answer": found, "metrics": {"words": len(words)}}

    def fingerprint(self, _):
        """Identifies the data; the run's lock stores it."""
        return f"{self.NAME}-1-{self.count}"


