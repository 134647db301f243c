"""What huggingface_hub reads of the environment: hub-environment.json beside this.

    pip install huggingface_hub==2.4.0 && python hub_environment.py > hub-environment.json

Each case: variables, files of a folder `{dir}`; whether Python is offline, where its cache is, and the token that it
would send. Python runs with these variables and no others.
"""
import json, os, subprocess, sys, tempfile

ASK = """
import json
from huggingface_hub import constants
from huggingface_hub.utils._headers import get_token_to_send
print(json.dumps([constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE, get_token_to_send(None)]))
"""
HOME = {"HOME": "/home/ada"}
CASES = [({}, {})]
CASES += [({"HF_HUB_OFFLINE": v}, {}) for v in
          ["1", "true", "True", "TRUE", "tRuE", "yes", "YES", "on", "On", "0", "false", "no", "off", "", "2", "y", "t",
           " 1", "1 ", "enabled"]]
CASES += [({"TRANSFORMERS_OFFLINE": v}, {}) for v in ["1", "yes", "ON", "0", ""]]
CASES += [({"HF_HUB_OFFLINE": a, "TRANSFORMERS_OFFLINE": b}, {}) for a, b in
          [("0", "1"), ("", "1"), ("1", "0"), ("no", "yes")]]
CASES += [({"HF_HOME": v}, {}) for v in
          ["/data/hf", "/data/hf/", "~/hf", "~", "~nobody-of-that-name/hf", "$HOME/hf", "${HOME}/hf",
           "$NONE/hf", "${NONE}/hf", "${HOME/hf", "$/hf", "/a/~/hf", "/x/$HOME-y", "/x/$HOME_y", "a/b", "", "${}/x",
           "/cost$5/$HOME", "$HOME$HOME", "/ä/$HOME/~"]]
CASES += [({"HF_HUB_CACHE": v, "HF_HOME": "/data/hf"}, {}) for v in ["/c/hub", "~/hub", "$HF_HOME/other", ""]]
CASES += [({"HUGGINGFACE_HUB_CACHE": v, "HF_HOME": "/data/hf"}, {}) for v in ["/old", "~/old", "$HOME/old", ""]]
CASES += [({"HF_HUB_CACHE": "/new", "HUGGINGFACE_HUB_CACHE": "/old"}, {})]
CASES += [({"XDG_CACHE_HOME": v}, {}) for v in ["/xdg", "~/xdg", "$HOME/xdg", ""]]
CASES += [({"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/data/hf"}, {}), ({"HOME": ""}, {}), ({"HOME": "", "HF_HOME": "~/hf"}, {}),
          ({"HOME": "/"}, {}), ({"HOME": "/home/ada/", "HF_HOME": "~/hf"}, {}),
          ({"HF_HOME": "$A", "A": "$B", "B": "/b"}, {}), ({"HF_HOME": "$A", "A": "~/a"}, {})]
CASES += [({"HF_TOKEN": v}, {}) for v in
          ["hf_abc", " hf_abc ", "hf_abc\n", "\r\nhf_abc\r\n", "hf_\nabc", "\thf_abc\t", "", "  ", "\n"]]
CASES += [({"HUGGING_FACE_HUB_TOKEN": "hf_old"}, {}), ({"HUGGING_FACE_HUB_TOKEN": " hf_old\n"}, {}),
          ({"HF_TOKEN": "hf_new", "HUGGING_FACE_HUB_TOKEN": "hf_old"}, {}),
          ({"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "hf_old"}, {}),
          ({"HF_TOKEN": " ", "HUGGING_FACE_HUB_TOKEN": "hf_old"}, {})]
FILE = {"hf/token": "hf_file\n"}
CASES += [({"HF_HOME": "{dir}/hf", **e}, FILE) for e in
          [{}, {"HF_TOKEN": "hf_abc"}, {"HF_TOKEN": " \n"}, {"HUGGING_FACE_HUB_TOKEN": "hf_old"},
           {"HF_TOKEN_PATH": "{dir}/none"}, {"HF_TOKEN_PATH": "{dir}/hf/../hf/token"},
           {"HF_TOKEN_PATH": "$HF_HOME/token"}]]
CASES += [({"HF_HOME": "{dir}/hf"}, {"hf/token": v}) for v in ["", "\n\n", "  hf_file  \n", "hf_\r\nfile\r\n"]]
CASES += [({"HOME": "{dir}", "HF_TOKEN_PATH": "~/t"}, {"t": "hf_home"}),
          ({"HOME": "{dir}"}, {".cache/huggingface/token": "hf_default"}),
          ({"HF_HUB_CACHE": "{dir}/hub", "HF_HOME": "{dir}"}, {"token": "hf_beside", "hub/token": "hf_inside"})]
CASES += [({"HF_TOKEN": "hf_abc", "HF_HUB_DISABLE_IMPLICIT_TOKEN": v}, {}) for v in
          ["1", "true", "YES", "on", "0", "false", "no", "", "2"]]
CASES += [({"HF_HOME": "{dir}/hf", "HF_HUB_DISABLE_IMPLICIT_TOKEN": v}, FILE) for v in ["1", "0"]]

out = []
for env, files in CASES:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", newline="") as f:
                f.write(text)
        env = {**HOME, **env}
        real = {k: v.replace("{dir}", folder) for k, v in env.items()}
        answer = subprocess.run([sys.executable, "-c", ASK], env=real, capture_output=True, text=True, check=True)
        offline, cache, token = json.loads(answer.stdout)
        out.append({"env": env, "files": files, "offline": offline, "cache": cache.replace(folder, "{dir}"),
                    "token": token})
print("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in out) + "\n]")
