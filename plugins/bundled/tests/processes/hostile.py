"""Processes that break the rules of the border, one a word of the command line."""
import json
import os
import signal
import subprocess
import sys
import time

WAY = sys.argv[1]
OUT = sys.stdout.buffer


def say(value):
    raw(json.dumps(value) + "\n")


def raw(text):
    OUT.write(text if isinstance(text, bytes) else text.encode())
    OUT.flush()


def hang():
    while True:
        time.sleep(1)


LISTED = {
    "version": 3,
    "plugins": [{"kind": "condition", "name": "hostile"}, {"kind": "analyzer", "name": "hostile"}],
}
# What is written instead of the answer to `list`, whose number is 1.
LISTS = {
    "JUNK": "Loading model...\n",
    "EMPTY": "\n",
    "NOT_UTF8": b'{"id":1,"ok":"\xff"}\n',
    "NAN": '{"id":1,"ok":{"version":NaN}}\n',
    "DEEP": "[" * 100000 + "\n",
    "NO_OBJECT": "[1,2]\n",
    "OTHER_ID": '{"id":7,"ok":null}\n',
    "NO_ID": '{"ok":null}\n',
    "NO_ANSWER": '{"id":1,"okay":null}\n',
    "TWO_ANSWERS": '{"id":1,"ok":null,"error":"no"}\n',
    "ERROR_TYPE": '{"id":1,"error":5}\n',
    "UNKNOWN": '{"id":1,"unknown":true}\n',
    "NEWER": '{"id":1,"ok":{"version":99,"plugins":[]}}\n',
    "NO_VERSION": '{"id":1,"ok":[]}\n',
    "LIST_TYPE": '{"id":1,"ok":{"version":3,"plugins":7}}\n',
    "LIST_NAME": '{"id":1,"ok":{"version":3,"plugins":[{"kind":"condition","name":"../evil"}]}}\n',
    "LIST_TWICE": '{"id":1,"ok":{"version":3,"plugins":[{"kind":"condition","name":"x"},{"kind":"condition","name":"x"}]}}\n',
}


def listing():
    if WAY in LISTS:
        raw(LISTS[WAY])
        hang()
    if WAY == "SILENT":
        hang()
    if WAY == "HALF":
        raw('{"id":1,"ok":{"vers')
        hang()
    if WAY == "HALF_END":
        raw('{"id":1,"ok":{"vers')
        sys.exit(0)
    if WAY == "LEAVES":
        print("no such tokenizer\x1b[31m", file=sys.stderr)
        sys.exit(3)
    if WAY == "DIES":
        os.kill(os.getpid(), signal.SIGKILL)
    if WAY == "CLOSES":
        os.close(1)
        hang()
    if WAY == "ENDLESS_LINE":
        while True:
            raw("x" * (1 << 20))
    if WAY == "FLOODS":
        while True:
            raw("{}\n" * 100000)
    if WAY == "QUESTIONS":
        # Asks without end, and never answers.
        while True:
            say({"ask": "run"})
            sys.stdin.readline()
    if WAY == "DEAF":
        # Reads no more. The host's next requests find nobody.
        say({"id": 1, "ok": LISTED})
        hang()
    if WAY == "CHILD":
        # Leaves a child of its own behind, which holds the output open.
        child = subprocess.Popen(["sleep", "600"])
        open("child.pid", "w").write(str(child.pid))
        hang()


def answer(request):
    method, call, to = request["method"], request.get("call"), request.get("request")
    if method == "list":
        listing()
        return LISTED
    if method == "build":
        if WAY == "BUILD_ERROR":
            raise ValueError("there is no file `words.txt`\x1b[2J")
        if WAY == "ENVIRONMENT":
            raise ValueError(" ".join(f"{k}={v}" for k, v in sorted(os.environ.items())) + f" in {os.getcwd()}")
        return None
    if call == "ask":
        if WAY == "ASK_TYPE":
            return {"text": 7}
        if WAY == "ASK_HANGS":
            hang()
        if WAY == "ASK_LEAVES":
            raise_and_leave()
        if WAY == "PRINTS":
            print("asking\x1b[31m", file=sys.stderr, flush=True)
        return {"text": to["prompt"] if to["turn"] == 1 else "hm. " + to["prompt"]}
    if call == "keep":
        # Groups 0 and 1 are finished by then. The made-up replies of the plan begin with "word".
        made_up = to["reply"]["text"].startswith("word")
        if WAY == "KEEP_LATE" and to["turn"]["group"] == 2 and not made_up:
            raise ValueError("lost in group 2")
        return {"text": to["reply"]["text"]}
    if call == "analyze":
        if WAY == "FILES":
            return {"files": [["../../escaped", "AQID"]]}
        return {"summary": ["\x1b[31mred"]}
    return None


def raise_and_leave():
    try:
        {}["lost"]
    except KeyError:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(9)


UNKNOWN = {"validate", "needs", "opening", "rounds", "bounds"}
for line in sys.stdin:
    request = json.loads(line)
    if request.get("call", request["method"]) in UNKNOWN:
        say({"id": request["id"], "unknown": True})
        continue
    try:
        told = {"ok": answer(request)}
    except ValueError as e:
        told = {"error": str(e)}
    say({"id": request["id"], **told})
