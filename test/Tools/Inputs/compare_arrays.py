"""Compares two .npy files of f32: same shape, no element farther apart than TOLERANCE.
usage: compare_arrays.py A.npy B.npy TOLERANCE
"""
import array
import ast
import struct
import sys


def read(path):
    data = open(path, "rb").read()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:start].decode())
    assert header["descr"] == "<f4", header
    return header["shape"], array.array("f", data[start:])


(shape, a), (other, b) = read(sys.argv[1]), read(sys.argv[2])
worst = max(abs(x - y) for x, y in zip(a, b))
same = shape == other and worst <= float(sys.argv[3])  # NaN fails too
print(shape, "agree" if same else f"and {other} differ by {worst}")
sys.exit(not same)
