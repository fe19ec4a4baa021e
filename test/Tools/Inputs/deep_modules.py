"""Writes modules that are nested deeply, one for each kind of bracket and place.

usage: deep_modules.py FOLDER DEPTH
"""
import pathlib
import sys

folder, depth = pathlib.Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(exist_ok=True)


def nest(left, middle, right):
    return left * depth + middle + right * depth


MODULES = {
    "array": "module attributes {a = %s} {}" % nest("[", "", "]"),
    "dictionary": "module attributes {a = %s} {}" % nest("{a = ", "1", "}"),
    "types": "func.func private @f(%s)" % nest("tuple<", "i32", ">"),
    "container": "layer.graph @m(%%x: %s) -> () attributes {input_names = [\"x\"]} {\n  output\n}" % nest("!layer.container<", "f32", ">"),
    "modules": nest("module {\n", "", "}"),
    "location": "module {} loc(%s)" % nest("fused[", "unknown", "]"),
    "affine": "#m = affine_map<(d0) -> (%s)>\nmodule {}" % nest("(", "d0", ")"),
    "minus": "#m = affine_map<(d0) -> (%s)>\nmodule {}" % nest("- ", "d0", ""),
}
for name, text in MODULES.items():
    (folder / (name + ".ir")).write_text(text)
