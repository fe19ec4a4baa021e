"""What page and chart show: medians over all samples of all rounds."""
from statistics import median


def quantities(section):
    """(key, words) of what has a rate."""
    yield "prefill", f"prefill {section['prompt']}"
    for context in section["contexts"]:
        yield f"decode {context}", f"decode at {context:,}"


def rate(peer, key):
    """Tokens a second."""
    return 1 / median(seconds for run in peer["runs"] for seconds in run["samples"][key])


def ratio(peer, key):
    """Of the limit that graphc bench measured before and after each run."""
    return median(run["limits"][key] / seconds for run in peer["runs"] for seconds in run["samples"][key])


def value(peer, key):
    """The median of a time in seconds, or of bytes."""
    return median(run[key] for run in peer["runs"])


def is_measured(peer):
    return not peer["failure"] and bool(peer["runs"])


def bench(section, key, value):
    """The median of what graphc bench said: its `rate`, or `ratio`."""
    return median(bench[key][value] for bench in section["benches"])


def limit(section, key, name):
    """The median of one of the machine's limits beside runs of `key`."""
    return median(bench[key]["limits"][name] for bench in section["benches"])
