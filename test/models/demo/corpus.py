# Fetches and decodes the demo model's training text.
#
# Two Debian 12 packages carry it: bible-kjv-text (the King James Bible, 1611)
# and r-cran-janeaustenr (Jane Austen's six novels, 1811-1818). Both texts are
# in the public domain. The packages hold them in formats of their own, an LZW
# window file and an R lazy-load database; the readers below need nothing but
# Python's standard library. `apt-get download` and `dpkg-deb` do the fetching.

import hashlib
import pathlib
import re
import struct
import subprocess
import zlib

# package, version, sha256 of the .deb, path of the text inside it
PACKAGES = {
    "kjv": ("bible-kjv-text", "4.38",
            "d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a",
            "usr/lib/bible.data"),
    "austen": ("r-cran-janeaustenr", "1.0.0-1",
               "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
               "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"),
}


def fetch(source, cache):
    """Returns the bytes of the text file of `source`, downloading once to `cache`."""
    package, version, sha256, path = PACKAGES[source]
    cache = pathlib.Path(cache).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    deb = cache / f"{package}_{version}_all.deb"
    if not deb.exists():
        subprocess.run(["apt-get", "download", f"{package}={version}"],
                       cwd=cache, check=True)
    found = hashlib.sha256(deb.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{deb} has sha256 {found}, expected {sha256}; "
                         "delete it and run again")
    subprocess.run(["dpkg-deb", "-x", deb, cache / package], check=True)
    return (cache / package / path).read_bytes()


def lzw_decode(data, max_width=16):
    """Decodes one window of `compress` codes: LSB first, 9 to 16 bits wide.

    Code 256 clears the table. Codes are written in groups of eight, so a
    change of width skips to the end of the group."""
    clear = 256
    table = [bytes([i]) for i in range(256)] + [b""]
    out, previous = [], None
    width, bit, group = 9, 0, 0

    def next_group():
        size = 8 * width
        return group + -(-(bit - group) // size) * size

    while bit + width <= 8 * len(data):
        word = int.from_bytes(data[bit >> 3:(bit >> 3) + 4], "little")
        code = (word >> (bit & 7)) & ((1 << width) - 1)
        bit += width
        if code == clear:
            bit = group = next_group()
            width, previous = 9, None
            del table[257:]
            continue
        if previous is None:
            entry = table[code]
        else:
            entry = table[code] if code < len(table) else previous + previous[:1]
            if len(table) < 1 << max_width:
                table.append(previous + entry[:1])
        out.append(entry)
        previous = entry
        if len(table) >= 1 << width and width < max_width:
            bit = group = next_group()
            width += 1
    return b"".join(out)


def kjv_documents(data):
    """Yields each chapter as (book, list of verses), references removed.

    The file is a header, the windows' big-endian offsets at byte 0x5c, then
    the windows; each decodes to 64 KiB of lines such as `Ge1:1 In the ...`."""
    window_size, count = struct.unpack(">2I", data[0x54:0x5c])
    offsets = [*struct.unpack(f">{count}I", data[0x5c:0x5c + 4 * count]), len(data)]
    windows = [lzw_decode(data[a:b]) for a, b in zip(offsets, offsets[1:])]
    if any(len(w) != window_size for w in windows[:-1]):
        raise SystemExit("bible.data decodes to windows of a wrong size")
    chapter, verses = None, []
    for line in b"".join(windows).decode("ascii").splitlines():
        match = re.match(r"(\w+?)(\d+):\d+ (.*)", line)
        if not match:
            continue
        if match.group(1, 2) != chapter:
            if verses:
                yield chapter[0], verses
            chapter, verses = match.group(1, 2), []
        verses.append(" ".join(match.group(3).split()))
    yield chapter[0], verses


def r_strings(data):
    """Yields the string vectors of an R lazy-load database, one list a book.

    A record is a big-endian length and a zlib stream of R's XDR
    serialisation, version 3: 14 bytes, the native encoding's name, then type
    16 (a character vector) and its strings, each a flag word, a length (-1:
    missing) and the bytes."""
    at = 0
    while at < len(data):
        inflate = zlib.decompressobj()
        record = inflate.decompress(data[at + 4:])
        at = len(data) - len(inflate.unused_data)
        p = 14 + 4 + struct.unpack(">i", record[14:18])[0]
        kind, count = struct.unpack(">2i", record[p:p + 8])
        p += 8
        if kind & 0xff != 16:
            continue
        strings = []
        for _ in range(count):
            length = struct.unpack(">i", record[p + 4:p + 8])[0]
            p += 8
            strings.append(record[p:p + max(length, 0)].decode("utf-8"))
            p += max(length, 0)
        yield strings


def austen_documents(data):
    """Yields each chapter as (title, list of paragraphs), headings removed."""
    heading = re.compile(r"(CHAPTER|VOLUME|Chapter|Volume)\b|FINIS|Finis|THE END|END OF")
    for lines in r_strings(data):
        title, paragraphs, words, started = lines[0].title(), [], [], False
        for line in [*lines, "", "CHAPTER"]:
            line = line.strip()
            if heading.match(line):
                # What stands before the first chapter is the title page.
                if started and paragraphs:
                    yield title, paragraphs
                paragraphs, words, started = [], [], True
            elif line.strip("* "):
                words += line.replace("_", "").split()
            elif words:
                paragraphs.append(" ".join(words))
                words = []


def load(cache):
    """Returns the documents of both sources: {source: [(book, [paragraph])]}."""
    return {"kjv": list(kjv_documents(fetch("kjv", cache))),
            "austen": list(austen_documents(fetch("austen", cache)))}
