"""Files of `torch.save`, as hex, for the tests of src/torch_zip: `python torch_oracle.py > data/torch.txt`.

Made with PyTorch 1.13 (Debian 12, CPU). Each line is a name, and the file's bytes. The numbers are eighths, which every
float type holds exactly, so that the tests compare them exactly.
"""

import io

import torch


def dump(name, value, **how):
    out = io.BytesIO()
    torch.save(value, out, **how)
    print(name, out.getvalue().hex())


w = torch.arange(6).reshape(2, 3) / 8
dump("protocol2", {
    "w": w,
    "transposed": w.T,
    "column": w[:, 1],
    "half": w.half()[:, 1:],
    "bfloat": w.bfloat16()[1],
    "k": torch.tensor(50, dtype=torch.int),
    "layer": 12,
})
dump("protocol4", {
    "double": -w.double(),
    "long": torch.tensor([-1, 1 << 40]),
    "parameter": torch.nn.Parameter(w[1]),
    "none": torch.empty(0, 4),
    "name": "x",
}, pickle_protocol=4)

linear = torch.nn.Linear(2, 3)
linear.weight.data = w.T.contiguous()
linear.bias.data = torch.tensor([0.5, 0.25, 0.125])
dump("module", linear.state_dict())
