"""docs/Peers.md: one section for each model and dtype.   usage: python -m peers.page peers.json"""
import json
import pathlib
import sys

from peers import measured

INTRODUCTION = """\
# Peers

graphc beside what users would pick instead: the same random weights, the same tokens and
lengths, the same number of threads, in turns in one run. `tools/bench/compare` wrote this
page; running it again replaces the section of its model and dtype
(`tools/bench/compare --help`).

![Ratios to the machine's limits](peers.svg)

## What is measured

- Everybody gets one checkpoint of a Llama configuration: bf16 or f32 weights in
  safetensors, normal with deviation 0.02. What cannot read it gets a conversion of it,
  made beforehand and not counted. Each peer's logits of the 16-token prompt are held
  against graphc's (`distance`: relative, L2); a peer that computes something else is
  refused.
- One process a round and peer, driven from Python through the peer's own interface, one
  sequence, no sampling. Before each peer and after it, `graphc bench` runs. All lines are
  medians over all rounds.
- `load`: from before the peer's library is imported until it can compute. `first token`:
  from the start of the process to the logits of a 16-token prompt, importing included.
- `prefill`: one forward into an empty cache with the logits of its last token, after one
  that is not counted; three samples a process, or fewer once they took ten seconds.
  `decode`: forwards of one token each behind N cached ones, after four that are not
  counted, nor is what is compiled there.
- `peak memory`: the most that was resident in the whole process, mapped weights
  and Python included.
- `of limit`: the time that the machine would need at its limits over the time taken, as in
  [Performance](Performance.md#the-limits). The limits are those that `graphc bench`
  measured before and after the peer: read bandwidth and the peaks of multiply-adds. On a
  processor with AMX the peak of bf16 is that of its tiles, which graphc and oneDNN (in
  PyTorch and OpenVINO) use. Rates drift with the machine; compare ratios.
"""


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def row(cells):
    return "| " + " | ".join(map(cell, cells)) + " |\n"


def table(head, rows):
    return row(head) + "|" + "---|" * len(head) + "\n" + "".join(map(row, rows))


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def seconds(value):
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"


def rates(section):
    head = [""]
    for _, words in measured.quantities(section):
        head += [words + ", tok/s", "of limit"]
    head += ["load", "first token", "peak memory", "distance"]
    rows = []
    for peer in section["peers"]:
        if not measured.is_measured(peer):
            rows.append([peer["title"], *["-"] * (len(head) - 1)])
            continue
        cells = [peer["title"]]
        for key, _ in measured.quantities(section):
            cells += [number(measured.rate(peer, key)), f"{measured.ratio(peer, key):.2f}"]
        cells += [seconds(measured.value(peer, "load")), seconds(measured.value(peer, "first_token")),
                  f"{measured.value(peer, 'peak_bytes') / 2**20:,.0f} MiB", f"{peer['distance']:.1g}"]
        rows.append(cells)
    return table(head, rows)


def peers_table(section):
    """Settings and versions; the reason of those that did not run."""
    rows = []
    for peer in section["peers"]:
        versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
        rows.append([peer["title"], peer["settings"], versions or "-"])
    text = table(["", "settings", "versions"], rows)
    failed = [peer for peer in section["peers"] if not measured.is_measured(peer)]
    if failed:
        text += "\nNot measured:\n\n"
        text += "".join(f"- {peer['title']}: `{(peer['failure'] or 'no run').replace('`', chr(39))}`\n" for peer in failed)
    return text


def section_text(section):
    machine = section["machine"]
    key = "prefill"
    limits = (f"{measured.limit(section, f'decode ' + str(section['contexts'][0]), 'read_bytes_per_second') * 1e-9:.1f} GB/s read, "
              f"{measured.limit(section, key, 'dot_operations_per_second') * 1e-9:,.0f} GFLOP/s bf16 dot products, "
              f"{measured.limit(section, key, 'f32_operations_per_second') * 1e-9:,.0f} GFLOP/s f32")
    bench = "; ".join(f"{words} {number(measured.bench(section, key, 'rate'))} tok/s, {measured.bench(section, key, 'ratio'):.2f} of limit"
                      for key, words in measured.quantities(section))
    return (f"\n## {section['model']}, {section['dtype']}\n\n"
            f"    {section['command']}\n\n"
            f"{section['date']}, {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}; {section['threads']} threads, "
            f"{section['rounds']} rounds; {section['layers']} layers, hidden {section['hidden']}, "
            f"{section['parameters'] / 1e6:,.1f} M parameters, random weights.\n\n{rates(section)}\n"
            f"Limits beside the runs, medians: {limits}. `graphc bench` itself says, of {len(section['benches'])} runs: {bench}.\n\n"
            f"{peers_table(section)}")


def markdown(sections):
    return INTRODUCTION + "".join(map(section_text, sections))


if __name__ == "__main__":
    sys.stdout.write(markdown(json.loads(pathlib.Path(sys.argv[1]).read_text())["sections"]))
