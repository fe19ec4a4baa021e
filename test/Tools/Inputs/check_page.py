"""Opens a page in headless Chromium and checks what became of it.

The page must have run its script to the end (data-ready), without an error
(data-error, and the browser's console), hold and lack the given texts (of the
DOM as the browser prints it), and have a light and a dark screenshot that is not
one colour.
usage: check_page.py PAGE [--screenshot FILE.png] [--contains TEXT].. [--lacks TEXT].. [--most-bytes N]
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def chromium(page, *options):
    """Standard output and error of the browser with `page` open."""
    with tempfile.TemporaryDirectory() as profile:
        run = subprocess.run(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--disable-extensions", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
             f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=4000", "--window-size=1280,3600",
             *options, pathlib.Path(page).resolve().as_uri()],
            capture_output=True, timeout=240, env={**os.environ, "HOME": profile})
    if run.returncode:
        sys.exit(f"chromium ended with {run.returncode}:\n{run.stderr.decode(errors='replace')[-2000:]}")
    return run.stdout.decode(), run.stderr.decode(errors="replace")


def main(options):
    failures = []
    size = os.path.getsize(options.page)
    if options.most_bytes and size > options.most_bytes:
        failures.append(f"page must have at most {options.most_bytes} bytes, got {size}")
    dom, log = chromium(options.page, "--dump-dom")
    root = re.search(r"<html[^>]*>", dom)
    root = root.group(0) if root else ""
    if 'data-ready="true"' not in root or "data-error" in root:
        failures.append(f"the script must run to its end, got {root}")
    failures += [f"console: {line}" for line in log.splitlines() if "CONSOLE" in line]
    # The data is text for the script; what counts is what was made of it.
    drawn = re.sub(r'<script type="application/json".*?</script>', "", dom, flags=re.S)
    drawn = re.sub(r"<script>.*?</script>", "", drawn, flags=re.S)
    failures += [f"page must contain {text!r}" for text in options.contains if text not in drawn]
    failures += [f"page must not contain {text!r}" for text in options.lacks if text in drawn]
    if options.screenshot:
        for scheme, name in ((1, options.screenshot), (0, options.screenshot.replace(".png", "-dark.png"))):
            chromium(options.page, f"--screenshot={os.path.abspath(name)}", f"--blink-settings=preferredColorScheme={scheme}")
            if os.path.getsize(name) < 20000: # a page of one colour takes less
                failures.append(f"screenshot {name} must show something, got {os.path.getsize(name)} bytes")
    for failure in failures:
        print(f"{options.page}: {failure}", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("page")
    parser.add_argument("--screenshot")
    parser.add_argument("--contains", action="append", default=[])
    parser.add_argument("--lacks", action="append", default=[])
    parser.add_argument("--most-bytes", type=int)
    sys.exit(main(parser.parse_args()))
