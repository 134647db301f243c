"""`{{name}}`: an analyzer. Say here which question it answers."""
import base64
import json
import math
import os
import sys
import traceback
from array import array


class Plugin:
    KIND, NAME, VERSION = "analyzer", "{{name}}", "0.1.0"
    SUMMARY = "Length of replies by level"
    # What `friction plugins show {{name}}` prints. Tables of the manifest are checked by it.
    OPTIONS = {
        "type": "object",
        "description": "Say here what the plugin is for and what it writes.",
        "properties": {
            "factor": {
                "type": "string",
                "description": "The factor whose levels are compared.",
                "examples": ["completion"],
            },
        },
        "required": ["factor"],
        "additionalProperties": False,
    }

    def __init__(self, options, context):
        self.factor = options["factor"]

    def needs(self, _):
        """What the analyzer reads. A manifest that does not produce it is refused before the run."""
        return {"factors": [self.factor]}

    def analyze(self, _):
        # The columns of turns.parquet, an object for each turn. host("tap", group=…, condition=…, arm=…, site=…,
        # position=…) gives the activations of a conversation: {"shape": [turns, positions, width], "data": …}.
        run = host("run")
        lengths, groups = {}, {turn["group"] for turn in run["turns"]}
        for turn in run["turns"]:
            if turn["arm"] == "" and self.factor in turn["factors"]:
                lengths.setdefault(turn["factors"][self.factor], []).append(turn["reply_tokens"])
        means = {level: sum(v) / len(v) for level, v in sorted(lengths.items())}
        table = {
            "name": "lengths",
            "caption": f"Untouched replies by {self.factor}",
            "shown": True,
            "columns": [
                {"name": "level", "text": list(means)},
                {"name": "replies", "count": [len(lengths[level]) for level in means]},
                {"name": "tokens", "title": "length", "unit": "tokens", "digits": 1, "number": list(means.values())},
            ],
        }
        # What another needs to judge it: the number of independent units, the method and where it is published.
        about = {"n": len(groups), "of": "group", "method": "means over all replies", "status": "exploratory"}
        return {
            "question": f"How long are replies by {self.factor}?",
            "blocks": [{"table": table, **about}],
            "values": means,
        }


