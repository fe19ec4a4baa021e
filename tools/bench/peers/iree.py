"""IREE: a plain Llama in torch, exported by iree-turbine, compiled for this processor.

Two programs: prefill of any length, and a decode step over a cache of any length, whose rows behind
the token are masked. Weights lie in a file of their own (.irpa) that both map.
"""
import json
import subprocess
import sys

from peers import checkpoint as source

NAME = "iree"
TITLE = "IREE"
ENVIRONMENT = "iree"
PACKAGES = ["iree-base-compiler", "iree-base-runtime", "iree-turbine", "torch", "safetensors", "numpy"]
SETTINGS = ("exported by iree-turbine with dynamic lengths, `iree-compile` for the host's CPU at -O3, local-task driver; cache of the "
            "prompt and 64 rows more")
ROOM = 64  # rows of the cache behind the prompt
FLAGS = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
         "--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"]


def rope_tables(config, positions, dtype):
    """cos and sin (tokens, headDim), f32 angles."""
    import torch
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    frequencies = config["rope_theta"] ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    frequencies = frequencies / torch.tensor(source.rope_factors(config, head_dim))
    angles = positions.to(torch.float32)[:, None] * torch.cat([frequencies, frequencies])
    return angles.cos().to(dtype), angles.sin().to(dtype)


def llama(checkpoint, dtype):
    """A module with `prefill` and `decode`, as IREE's users write it."""
    import safetensors.torch
    import torch
    from torch.nn import functional
    config = json.loads((checkpoint / "config.json").read_text())
    heads, epsilon = config["num_attention_heads"], config["rms_norm_eps"]

    class Llama(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in safetensors.torch.load_file(checkpoint / "model.safetensors").items():
                self.register_parameter(name.replace(".", "_"), torch.nn.Parameter(value, requires_grad=False))

        def of(self, layer, name):
            return getattr(self, f"model_layers_{layer}_{name}_weight")

        def norm(self, x, scale):
            wide = x.float()
            return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype) * scale

        def split(self, x):
            return x.view(x.shape[0], -1, self.head_dim).transpose(0, 1)  # (heads, tokens, headDim)

        def rotate(self, x, cos, sin):
            low, high = x.chunk(2, -1)
            return x * cos + torch.cat([-high, low], -1) * sin

        def blocks(self, ids, positions, attend):
            """Logits of the last token; attend(layer, q, k, v) returns (heads, tokens, headDim)."""
            embedding = self.model_embed_tokens_weight
            self.head_dim = config.get("head_dim") or config["hidden_size"] // heads
            x = functional.embedding(ids, embedding)
            cos, sin = rope_tables(config, positions, x.dtype)
            for layer in range(config["num_hidden_layers"]):
                y = self.norm(x, self.of(layer, "input_layernorm"))
                q, k, v = (self.split(functional.linear(y, self.of(layer, f"self_attn_{name}_proj"))) for name in "qkv")
                y = attend(layer, self.rotate(q, cos, sin), self.rotate(k, cos, sin), v)
                x = x + functional.linear(y.transpose(0, 1).reshape(x.shape[0], -1), self.of(layer, "self_attn_o_proj"))
                y = self.norm(x, self.of(layer, "post_attention_layernorm"))
                y = functional.silu(functional.linear(y, self.of(layer, "mlp_gate_proj"))) * functional.linear(y, self.of(layer, "mlp_up_proj"))
                x = x + functional.linear(y, self.of(layer, "mlp_down_proj"))
            head = embedding if config.get("tie_word_embeddings") else self.lm_head_weight
            return functional.linear(self.norm(x[-1:], self.model_norm_weight), head)[0].float()

        def attention(self, q, keys, values, mask):
            group = q.shape[0] // keys.shape[0]
            k, v = (x.repeat_interleave(group, 0)[None] for x in (keys, values))
            return functional.scaled_dot_product_attention(q[None], k, v, attn_mask=mask.expand(1, heads, -1, -1))[0]

        def prefill(self, ids):
            """ids (tokens) -> logits (vocab), keys and values (layers, kvHeads, tokens, headDim)."""
            positions = torch.arange(ids.shape[0])
            mask = torch.where(positions[None, :] <= positions[:, None], 0.0, -torch.inf).to(dtype)
            keys, values = [], []

            def attend(layer, q, k, v):
                keys.append(k)
                values.append(v)
                return self.attention(q, k, v, mask)
            return self.blocks(ids, positions, attend), torch.stack(keys), torch.stack(values)

        def decode(self, ids, position, keys, values):
            """The same of one token at `position` (1), over caches that are written there."""
            rows = torch.arange(keys.shape[2])
            mask = torch.where(rows <= position, 0.0, -torch.inf).to(dtype)[None]
            here = (rows == position)[:, None]  # selected: iree-compile refuses an indexed write to rows of dynamic length
            new_keys, new_values = [], []

            def attend(layer, q, k, v):
                new_keys.append(torch.where(here, k, keys[layer]))
                new_values.append(torch.where(here, v, values[layer]))
                return self.attention(q, new_keys[-1], new_values[-1], mask)
            return self.blocks(ids, position, attend), torch.stack(new_keys), torch.stack(new_values)
    return Llama().eval(), config


def prepare(checkpoint, folder, dtype):
    import torch
    from iree.turbine import aot
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[dtype]
    model, config = llama(checkpoint, dtype)
    heads = config["num_attention_heads"]
    aot.externalize_module_parameters(model)
    aot.save_module_parameters(folder / "model.irpa", model)
    programs = aot.FxProgramsBuilder(model)
    tokens, rows = torch.export.Dim("tokens", min=2, max=8192), torch.export.Dim("rows", min=2, max=8192)
    cache = torch.zeros((config["num_hidden_layers"], config.get("num_key_value_heads", heads), 128,
                         config.get("head_dim") or config["hidden_size"] // heads), dtype=dtype)

    @programs.export_program(name="prefill", args=(torch.zeros(64, dtype=torch.int64),), dynamic_shapes={"ids": {0: tokens}}, strict=False)
    def _(module, ids):
        return module.prefill(ids)

    one = torch.zeros(1, dtype=torch.int64)

    @programs.export_program(name="decode", args=(one, one, cache, cache), strict=False,
                             dynamic_shapes={"ids": {}, "position": {}, "keys": {2: rows}, "values": {2: rows}})
    def _(module, ids, position, keys, values):
        return module.decode(ids, position, keys, values)

    aot.export(programs).save_mlir(folder / "model.mlir")
    done = subprocess.run([sys.executable, "-m", "iree.compiler.tools.scripts.iree_compile", *FLAGS, folder / "model.mlir",
                           "-o", folder / "model.vmfb"], text=True, capture_output=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error: " in line]
        raise RuntimeError(f"iree-compile: {(errors or ['no message'])[0].split('error: ')[-1]}")
    return folder


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import iree.runtime
        import numpy
        self.runtime, self.numpy = iree.runtime, numpy
        iree.runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
        config = iree.runtime.Config("local-task")
        self.device = config.device
        index = iree.runtime.ParameterIndex()
        index.load(f"{artefact}/model.irpa")
        modules = [iree.runtime.create_io_parameters_module(config.vm_instance, index.create_provider("model")),
                   iree.runtime.create_hal_module(config.vm_instance, config.device),
                   iree.runtime.VmModule.mmap(config.vm_instance, f"{artefact}/model.vmfb")]
        self.program = iree.runtime.load_vm_modules(*modules, config=config)[-1]

    def prefill(self, ids):
        logits, *caches = self.program["prefill"](self.numpy.array(ids, self.numpy.int64))
        self.length, self.caches = len(ids), caches
        self.padded = False
        return logits.to_host()

    def decode(self, ids):
        if not self.padded:  # rows for what follows; once, in the tokens that are not counted
            self.caches = [self.pad(cache) for cache in self.caches]
            self.padded = True
        for index in ids:
            id_, position = (self.numpy.array([value], self.numpy.int64) for value in (index, self.length))
            logits, *self.caches = self.program["decode"](id_, position, *self.caches)
            logits.to_host()
            self.length += 1

    def pad(self, cache):
        rows = self.numpy.asarray(cache.to_host())
        return self.runtime.asdevicearray(self.device, self.numpy.pad(rows, ((0, 0), (0, 0), (0, ROOM), (0, 0))))
