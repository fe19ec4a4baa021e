"""ONNX Runtime through onnxruntime-genai: its model builder and its generator."""
import json
import subprocess
import sys

NAME = "onnxruntime"
TITLE = "ONNX Runtime"
ENVIRONMENT = "onnx"
PACKAGES = ["onnxruntime-genai", "onnxruntime", "onnx", "onnx-ir", "torch", "transformers", "numpy"]
SETTINGS = "onnxruntime-genai: its builder for the CPU provider, its generator with GroupQueryAttention over one shared cache"
PRECISION = {"bf16": "bf16", "f32": "fp32"}


def prepare(checkpoint, folder, dtype):
    done = subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", checkpoint, "-o", folder / "model",
                           "-p", PRECISION[dtype], "-e", "cpu", "-c", folder / "cache"], text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"its model builder: {done.stderr.strip().splitlines()[-1]}")
    return folder / "model"


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import onnxruntime_genai
        self.library = onnxruntime_genai
        config = onnxruntime_genai.Config(artefact)
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
        self.model = onnxruntime_genai.Model(config)
        self.capacity = capacity
        self.generator = None

    def prefill(self, ids):
        options = self.library.GeneratorParams(self.model)
        options.set_search_options(max_length=self.capacity, do_sample=False)
        self.generator = None  # its cache goes before the next is made
        self.generator = self.library.Generator(self.model, options)
        self.generator.append_tokens([ids])
        return self.generator.get_logits().reshape(-1)

    def decode(self, ids):
        for index in ids:
            self.generator.append_tokens([[index]])
