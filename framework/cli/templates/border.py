# ----------------------------------------------------------------------------------------------------------------------
# The border to friction: lines of JSON on standard input and output, as framework/guide/extend/process.md describes
# them. Nothing below depends on what the plugin does.


class Refused(Exception):
    """An error that is shown as it is. Say what is wrong, where, and what to do."""


class Unknown(Exception):
    """There is no such plugin or method."""


# Standard output is the border's: what is printed goes to standard error, which friction stores in the run's log.
_requests, _answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.stdout.reconfigure(line_buffering=True)  # Otherwise it is written at the end, when the log is closed.


def _read():
    line = _requests.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def _write(value):
    _answers.write(json.dumps(_finite(value), allow_nan=False).encode() + b"\n")
    _answers.flush()


def _finite(value):
    """The value with None for every number that JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def host(ask, **keys):
    """Asks friction while it waits for an answer. None if it does not offer this here, or has no such thing."""
    _write({"ask": ask, **keys})
    told = _read()
    if "error" in told:
        raise Refused(told["error"])
    return told.get("answer")


def floats(data):
    """Activations as an array of f32: base64 of little-endian numbers."""
    out = array("f")
    out.frombytes(base64.b64decode(data))
    if sys.byteorder == "big":
        out.byteswap()
    return out


_TYPES = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "array": list, "object": dict}


def faults(schema, config):
    """What is wrong with a table, as a list of places and messages."""
    known, out = schema.get("properties", {}), []
    for key in schema.get("required", []):
        if key not in config:
            out.append({"at": [], "message": f"`{key}` is missing"})
    for key, value in config.items():
        wants = known.get(key)
        if wants is None:
            names = ", ".join(f"`{k}`" for k in known) or "none"
            out.append({"at": [key], "message": f"unknown key `{key}`", "help": f"the options are: {names}"})
            continue
        fits = isinstance(value, _TYPES.get(wants.get("type"), object))
        if not fits or (isinstance(value, bool) and wants.get("type") != "boolean"):
            out.append({"at": [key], "message": f"`{key}` must be of type {wants['type']}"})
        elif "minimum" in wants and value < wants["minimum"]:
            out.append({"at": [key], "message": f"`{key}` must be at least {wants['minimum']}"})
        elif "enum" in wants and value not in wants["enum"]:
            out.append({"at": [key], "message": f"`{key}` must be one of {wants['enum']}"})
    return out


def _listed(plugin):
    return {
        "kind": plugin.KIND,
        "name": plugin.NAME,
        "version": plugin.VERSION,
        "summary": plugin.SUMMARY,
        "options": plugin.OPTIONS,
    }


def serve(*plugins):
    """Answers friction's requests until it closes the input."""
    known, made = {(p.KIND, p.NAME): p for p in plugins}, {}

    def answer(request):
        method = request["method"]
        if method == "list":
            return {"version": {{version}}, "plugins": [_listed(p) for p in plugins]}
        if method in ("validate", "build"):
            plugin = known.get((request["plugin"]["kind"], request["plugin"]["name"]))
            if plugin is None:
                raise Unknown()
            if method == "validate":
                return faults(plugin.OPTIONS, request["config"])
            properties = plugin.OPTIONS.get("properties", {})
            defaults = {k: v["default"] for k, v in properties.items() if "default" in v}
            made[request["instance"]] = plugin({**defaults, **request["config"]}, request["context"])
            return None
        if method == "drop":
            made.pop(request["instance"], None)
            return None
        function = getattr(made[request["instance"]], request.get("call", method), None)
        if function is None:
            raise Unknown()
        if method == "read":
            taps = [{**t, "data": floats(t["data"])} for t in request["taps"]]
            return function(request["turn"], taps)
        return function(request["request"])

    while True:
        request = _read()
        try:
            told = {"ok": answer(request)}
        except Unknown:
            told = {"unknown": True}
        except Refused as e:
            told = {"error": str(e)}
        except Exception as e:
            traceback.print_exc()
            told = {"error": f"{type(e).__name__}: {e} (this is a defect of the plugin)"}
        _write({"id": request["id"], **told})


if __name__ == "__main__":
    serve(Plugin)
