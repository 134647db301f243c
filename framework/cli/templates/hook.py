"""`{{name}}`: a hook. Say here what it reads or changes."""
import base64
import json
import math
import os
import sys
import traceback
from array import array


class Plugin:
    KIND, NAME, VERSION = "hook", "{{name}}", "0.1.0"
    SUMMARY = "Norm of the activations at prompt-end"
    # What `friction plugins show {{name}}` prints. Tables of the manifest are checked by it.
    OPTIONS = {
        "type": "object",
        "description": "Say here what the plugin is for and what it writes.",
        "properties": {
            "site": {"type": "string", "description": "Where the norm is taken.", "examples": ["resid_post.1"]},
        },
        "required": ["site"],
        "additionalProperties": False,
    }

    def __init__(self, options, context):
        self.site = options["site"]

    def program(self, model):
        """The taps, edits and arms, declared once. No code of the hook runs while tokens are generated."""
        return {"taps": [{"site": self.site, "position": "prompt-end"}]}

    def read(self, turn, taps):
        """The readings of a finished turn. Each tap has `rows` × `width` numbers in `data`, row after row."""
        width, data = taps[0]["width"], taps[0]["data"]
        return {"norm": math.sqrt(sum(x * x for x in data[:width]))}


