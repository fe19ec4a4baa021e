"""What users would pick instead of graphc, one module each, with one interface:

NAME, TITLE, ENVIRONMENT (the virtual environment it lives in), PACKAGES, SETTINGS (said on the page);
prepare(checkpoint, folder, dtype) -> artefact   once: a conversion, or the checkpoint itself
Model(artefact, dtype, threads, capacity)        loads it, for one sequence of at most `capacity` tokens
    .prefill(ids) -> logits                      empties the cache, then one forward of all ids
    .decode(ids)                                 forwards of one token each behind what is cached

ids are a list of int; logits are (vocab) f32 of the last token. A module must be importable without
its packages: whatever it needs of them it imports inside its functions.
"""
import importlib

# In the order of the table. graphc is measured in the same way as all others.
NAMES = ("graphc", "llama_cpp", "openvino", "onnxruntime", "pytorch", "pytorch_compiled", "ctranslate2", "iree")


def load(name):
    """The module of a peer."""
    return importlib.import_module(f"peers.{name}")
