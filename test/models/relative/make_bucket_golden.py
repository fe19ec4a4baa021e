#!/usr/bin/env python3
"""Writes bucket_golden.json: the buckets of transformers' T5Attention for distances within and beyond max_distance.

Requirements as those of ../make_goldens.py. Usage: make_bucket_golden.py
"""

import json
import os

import torch
from transformers.models.t5.modeling_t5 import T5Attention

CASES = [(8, 12), (32, 128), (32, 20), (6, 50), (64, 1000), (4, 3), (256, 4096)]


def runs(buckets):
    """[bucket, length] of each run of equal buckets."""
    out = []
    for bucket in buckets:
        if out and out[-1][0] == bucket:
            out[-1][1] += 1
        else:
            out.append([bucket, 1])
    return out


def main():
    cases = []
    for count, reach in CASES:
        for bidirectional in (True, False):
            distances = torch.arange(-reach - 70, reach + 71)
            found = T5Attention._relative_position_bucket(distances, bidirectional, count, reach)
            cases.append(dict(count=count, max_distance=reach, bidirectional=bidirectional, first=-reach - 70,
                              runs=runs(found.tolist())))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bucket_golden.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
