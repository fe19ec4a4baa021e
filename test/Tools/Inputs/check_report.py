"""Checks the JSON of `graphc explain` on llama/mha under compute=bf16,output=f32,
rms_norm:compute=f32 and the pin bf16: keys as docs/Explain.md lists them, and
numbers that follow from the model.
usage: check_report.py FILE
"""
import json
import sys

report = json.load(open(sys.argv[1]))
assert set(report) == {"model", "policy", "pins", "semantics", "target", "outputs", "stopped", "layers", "casts", "roundings",
                       "decisions", "counters", "cache", "weights", "kernels", "plan"}, sorted(report)
layers = {layer["name"]: layer for layer in report["layers"]}
norm = layers["layers.1.ffn_norm"]
assert norm["requested"] == {"compute": "f32", "output": "f32"}, norm
assert norm["rules"] == {"compute": "rms_norm:compute=f32", "output": "compute=bf16,output=f32"}, norm
assert norm["effective"]["interior"] == "f32" and norm["effective"]["stores"] == ["bf16"], norm
gate = layers["layers.0.ffn.gate"]
assert gate["rules"]["compute"] == "compute=bf16,output=f32" and gate["effective"]["reads"] == ["bf16"], gate

for cast in report["casts"]:
    assert set(cast) == {"value", "from", "to", "fate", "kernel", "on_cache", "bytes_per_step", "bytes_per_prefill_token",
                         "bytes_at_load", "because"}, cast
    assert cast["fate"] in {"register", "copy", "kernel", "load"} and not cast["on_cache"], cast
    assert cast["because"] and all(cause["rule"] and cause["layer"] and cause["passes"] for cause in cast["because"]), cast
    assert (cast["bytes_per_step"] > 0) == (cast["fate"] in {"copy", "kernel"}), cast
    assert (cast["bytes_at_load"] > 0) == (cast["fate"] == "load"), cast

assert [slot["keys"] for slot in report["cache"]] == [{"dtype": "bf16", "rule": "bf16"}] * 2, report["cache"]
assert all(slot["fused"] for slot in report["cache"])
converted = {weight["name"] for weight in report["weights"] if weight["residency"] == "converted"}
loaded = {cast["value"] for cast in report["casts"] if cast["fate"] == "load"}
assert converted == loaded, converted ^ loaded
assert sum(weight["bytes"] for weight in report["weights"] if weight["name"] in converted) == report["plan"]["weights_converted"]
assert report["kernels"]["run"] == sum(kernel["runs"] for kernel in report["kernels"]["list"])
# Every rounding point of the layers is one of the kernels, and no other is there.
points = sum(rounding["layers"] + rounding["casts"] for rounding in report["roundings"])
assert points == sum(kernel["runs"] * kernel["roundings"] for kernel in report["kernels"]["list"]), points
fused = [decision for decision in report["decisions"] if decision["pass"] == "layer-fuse-cache" and decision["done"]]
assert len(fused) == 2 and report["stopped"] == "", fused
