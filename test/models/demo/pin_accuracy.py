# What each cache pin costs in accuracy: the next-token distributions of the demo
# model over passages.txt against those of f32 with an f32 cache.
#
# For each compute type and pin: the Kullback-Leibler divergence KL(f32 || pin) in
# nats, its mean over the tokens and its greatest value, and at how many of them
# the likeliest next token is the same. Attention reads the rows of a prompt as the
# cache holds them, so one forward over a passage shows what decoding it token by
# token would. Prints a Markdown table; needs `graphc` and Python's standard library.

import argparse
import array
import ast
import math
import pathlib
import subprocess
import tempfile

PINS = ["f32", "f16", "bf16", "int8", "f8E4M3FN", "f8E5M2", "k=int8,v=bf16", "k=bf16,v=int8"]


def read_npy(path):
    """Returns the shape and the f32 elements of an npy file of version 1."""
    data = path.read_bytes()
    size = int.from_bytes(data[8:10], "little")
    header = ast.literal_eval(data[10:10 + size].decode("latin1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise SystemExit(f"{path} must hold f32 in C order, got {header}")
    elements = array.array("f")
    elements.frombytes(data[10 + size:])
    return header["shape"], elements


def log_probabilities(graphc, checkpoint, passage, compute, pin):
    """Returns the log-probabilities (tokens, vocab) after each token of `passage`."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.npy"
        subprocess.run([graphc, "run", checkpoint, "--policy", f"compute={compute},output=f32", f"--pin-cache={pin}",
                        "--prompt", passage, "-n", "0", "--logits-out", out], check=True, stdout=subprocess.DEVNULL)
        (_, tokens, vocab), logits = read_npy(out)
    rows = []
    for t in range(tokens):
        row = logits[t * vocab:(t + 1) * vocab]
        top = max(row)
        total = top + math.log(math.fsum(math.exp(x - top) for x in row))
        rows.append([x - total for x in row])
    return rows


def compare(exact, other):
    """Returns the divergences of the rows, and for each whether its best entries agree."""
    divergences, agree = [], []
    for p, q in zip(exact, other):
        divergences.append(math.fsum(math.exp(a) * (a - b) for a, b in zip(p, q)))
        agree.append(p.index(max(p)) == q.index(max(q)))
    return divergences, agree


def main():
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description="prints the accuracy of cache pins on the demo model")
    parser.add_argument("--graphc", default="graphc")
    parser.add_argument("--checkpoint", type=pathlib.Path, default=here / "checkpoint")
    parser.add_argument("--text", type=pathlib.Path, default=here / "passages.txt", help="passages, an empty line between")
    parser.add_argument("--compute", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--pins", nargs="+", default=PINS)
    args = parser.parse_args()
    passages = [text.strip() for text in args.text.read_text().split("\n\n")]
    exact = [log_probabilities(args.graphc, args.checkpoint, text, "f32", "f32") for text in passages]
    print("| compute | pin | mean KL (nats) | greatest KL | same greedy token |\n|---|---|---|---|---|")
    for compute in args.compute:
        for pin in args.pins:
            divergences, agree = [], []
            for text, rows in zip(passages, exact):
                own = compare(rows, log_probabilities(args.graphc, args.checkpoint, text, compute, pin))
                divergences += own[0]
                agree += own[1]
            print(f"| {compute} | `{pin}` | {math.fsum(divergences) / len(divergences):.2e} | {max(divergences):.2e} "
                  f"| {sum(agree)} of {len(agree)} |", flush=True)


if __name__ == "__main__":
    main()
