"""`{{name}}`: topics. Say here how the subjects of a conversation are chosen."""
import base64
import json
import math
import os
import sys
import traceback
from array import array


class Plugin:
    KIND, NAME, VERSION = "topics", "{{name}}", "0.1.0"
    SUMMARY = "Each conversation stays at one subject"
    # What `friction plugins show {{name}}` prints. Tables of the manifest are checked by it.
    OPTIONS = {
        "type": "object",
        "description": "Say here what the plugin is for and what it writes.",
        "properties": {},
        "additionalProperties": False,
    }

    def __init__(self, options, context):
        pass

    def choose(self, request):
        """For each group, the index of each item's category. It must depend on the request alone."""
        count, items = len(request["categories"]), request["items"]
        return {"order": [[group % count] * items for group in range(request["groups"])]}


