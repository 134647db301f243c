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
            "questions": {
                "type": "integer",
                "minimum": 1,
                "default": 20,
                "description": "Questions of each subject.",
            },
        },
        "additionalProperties": False,
    }
    SUBJECTS = {"doubling": 2, "tripling": 3, "quadrupling": 4, "quintupling": 5}

    def __init__(self, options, context):
        # Files are read here, with paths relative to context["base"].
        self.count = options["questions"]

    def categories(self, _):
        return [{"name": name, "questions": self.count} for name in self.SUBJECTS]

    def questions(self, subject):
        factor = self.SUBJECTS[subject]
        return [
            {
                "id": f"{subject}_{i}",
                "category": subject,
                "text": f"What is {factor} times {i}?",
                "options": [str(factor * i + d) for d in range(4)],
                "answer": 0,
            }
            for i in range(1, self.count + 1)
        ]

    def prompt(self, question):
        """The user's message for a question."""
        options = "\n".join(f"{chr(65 + i)}. {o}" for i, o in enumerate(question["options"]))
        return f"{question['text']}\n\n{options}\n\nPlease provide your answer as a single letter."

    def grade(self, request):
        """Reads the answer out of a reply."""
        question, reply = request["question"], request["reply"]
        letters = [chr(65 + i) for i in range(len(question["options"]))]
        words = re.findall(r"[A-Za-z]+", reply)
        found = next((w for w in words if w in letters), None)
        return {"parsed": found, "correct": found == letters[question["answer"]]}

    def fingerprint(self, _):
        """Identifies the data; the run's lock stores it."""
        return f"{self.NAME}-1-{self.count}"


