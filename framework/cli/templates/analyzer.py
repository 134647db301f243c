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
        lengths = {}
        for turn in run["turns"]:
            if turn["arm"] == "" and self.factor in turn["factors"]:
                lengths.setdefault(turn["factors"][self.factor], []).append(turn["reply_tokens"])
        means = {level: sum(v) / len(v) for level, v in sorted(lengths.items())}
        said = "{} = {}: {:.1f} tokens a reply, over {} replies"
        return {
            "summary": [said.format(self.factor, level, mean, len(lengths[level])) for level, mean in means.items()],
            "values": means,
            "tables": [
                {
                    "name": "lengths",
                    "columns": [["level", {"text": list(means)}], ["tokens", {"number": list(means.values())}]],
                }
            ],
        }


