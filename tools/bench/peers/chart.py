"""docs/peers.svg: bars of each peer's ratio to the limit.   usage: python -m peers.chart peers.json OUT.svg"""
import json
import pathlib
import sys

from peers import measured, page

FIRST, OTHERS, LIMIT = "#1f5fa8", "#9aa5b1", "#b03030"  # colours of graphc, the others, the line at 1


def panel(axes, section, key, words):
    """Horizontal bars, best at the top, with rates; those that failed are named without a bar."""
    peers = [peer for peer in section["peers"] if measured.is_measured(peer)]
    peers.sort(key=lambda peer: measured.ratio(peer, key))
    ratios = [measured.ratio(peer, key) for peer in peers]
    axes.barh([peer["title"] for peer in peers], ratios,
              color=[FIRST if peer["name"] == "graphc" else OTHERS for peer in peers])
    for index, (peer, ratio) in enumerate(zip(peers, ratios)):
        axes.annotate(f"{ratio:.2f} ({page.number(measured.rate(peer, key))} tok/s)", (ratio, index), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axes.axvline(1, color=LIMIT, linewidth=1, zorder=0)
    axes.set_xlim(0, 1.45 * max([1, *ratios]))
    axes.set_title(f"{section['model']} {section['dtype']}: {words}", fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw(sections, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["svg.hashsalt"] = "peers"  # the same data gives the same file
    import matplotlib.pyplot
    rows = [list(measured.quantities(section)) for section in sections]
    columns = max(map(len, rows))
    figure, grid = matplotlib.pyplot.subplots(len(sections), columns, figsize=(5 * columns, 3 * len(sections) + 0.6), squeeze=False)
    for section, row, line in zip(sections, rows, grid):
        for axes in line[len(row):]:
            axes.set_visible(False)
        for axes, (key, words) in zip(line, row):
            panel(axes, section, key, words)
    for axes in grid[-1]:
        axes.set_xlabel("ratio to the limit of the machine (red line: 1)", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Title": "graphc and its peers: ratios to the limits of the machine"})


if __name__ == "__main__":
    draw(json.loads(pathlib.Path(sys.argv[1]).read_text())["sections"], sys.argv[2])
