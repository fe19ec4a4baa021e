#!/usr/bin/env python3
"""Makes the tokenizer fixtures of this folder and their golden output.

    python3 make_tokenizers.py [FOLDER with real tokenizer.json files]

Trains small tokenizers of each kind that graphc reads, on the text below (which
was written for this purpose), with Hugging Face tokenizers 0.23; then records
what that library makes of INPUTS. Writes goldens.json, and <kind>.json where there is
none yet (training breaks ties differently on each run). With a folder, also
writes real_goldens.json for gpt2_tokenizer.json and llama_spm_bpe_tokenizer.json
in it (ids only; the files are not part of graphc).
"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

HERE = pathlib.Path(__file__).parent

TEXT = """The keeper of the lighthouse wrote down the weather every evening: wind, rain, fog.
She didn't mind the winter; it wasn't the cold that she'd remember, but the quiet.
"We'll see," he said, "I'm not sure they've seen what you're seeing."
In 1848 the lamp was lit 365 times, in 1849 only 361 times; nobody knows why.
Der alte Leuchtturmwärter schrieb jeden Abend das Wetter auf: Wind, Regen, Nebel.
Größe und Höhe der Wellen maß er mit einem einfachen Stab.
Le gardien du phare écrivait chaque soir le temps qu'il faisait, même en été.
El farero escribía cada noche el tiempo que hacía: viento, lluvia y niebla. ¿Y mañana?
Смотритель маяка каждый вечер записывал погоду: ветер, дождь, туман.
Ο φύλακας του φάρου έγραφε κάθε βράδυ τον καιρό.
灯台守は毎晩、天気を書き留めた。風、雨、霧。
看守灯塔的人每天晚上写下天气：风、雨、雾。
등대지기는 매일 저녁 날씨를 적었다.
حارس المنارة كان يكتب الطقس كل مساء.
प्रकाशस्तंभ का रखवाला हर शाम मौसम लिखता था।
Người giữ hải đăng ghi lại thời tiết mỗi buổi tối.
def area(width, height):
    if width < 0 or height < 0:
        raise ValueError("negative size")
    return width * height
for (int i = 0; i < n; ++i) { sum += values[i]; }  // a plain loop
The waves came in, the waves went out; the keeper kept the light, the light kept the ships.
""".splitlines(keepends=True)

# Written by hand for what they test. Bytes, since some are no UTF-8.
INPUTS = [s.encode() for s in [
    "", " ", "  ", "a", " a", "a ", "Hello, world!", "The keeper's lamp wasn't lit.",
    "I'M SURE THEY'LL SEE WE'VE DONE IT, YOU'RE RIGHT, HE'D SAY'S", "it\u017fs K\u212aelvin '\u017f",
    "O'Sx it'Dz we'LLy 'Reed",
    "Größe, Höhe, maß, ÜBER", "mañana ¿qué?", "Смотритель маяка", "灯台守は毎晩、天気を書き留めた。",
    "看守灯塔的人", "등대지기는", "حارس المنارة", "प्रकाशस्तंभ का", "Người giữ hải đăng",
    "Nguo\u031b\u0300i giu\u031b\u0303 ha\u0309i dang", "cafe\u0301 café \u0041\u030a \u212b \u00c5",
    "a\u0327\u0301\u0323b\u0301\u0327\u0323", "\u1100\u1161\u11a8 \uac01 \u1100\u1161", "\u0958 \u2126 \ufb01",
    "👍", "👍🏽👩‍👩‍👧‍👦🏳️‍🌈🇩🇪", "e😀f 😀😀", "\U0001f468\u200d\U0001f4bb writes code",
    "tab\there\nnew line\r\nwindows\n\n\n  indented\n\t\tdeep", "trailing   ", "   leading",
    "a  b   c    d", "\u00a0\u00a0nbsp\u00a0 x", "\u2003em\u2003space\u3000ideographic\u2028line\u2029par\u0085nel",
    "\u180emvs\u180e \u200bzero\u200b width\u200d", "\ufeffbom", "\x00nul\x00", "\x01\x02\x1f\x7f",
    "1234567890 12 345 1,234.56 ½ ² Ⅷ ٣", "x=1;y==2;z!=3//c", "def f(x):\n    return x**2  # sq\n",
    "for (int i = 0; i < n; ++i) { sum += v[i]; }", "https://example.org/a?b=c&d=%20", "snake_case camelCase",
    "....!!!???", "((([[[{{{", "\"quoted\" 'single' `tick`", "-- — – ‐", "\\n \\t \\\\",
    "<s>", "</s>", "<unk>", "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>",
    "x <|endoftext|> y", "<|im_start|>user\nhi<|im_end|>\n", "<tool_call> {} </tool_call>",
    "say  <strip>  now", "say<strip>now", " <strip>", "keep  <left>  both", "keep  <right>  both",
    "<right>  <left>", "word whole wholeword whole-word (whole) _whole whole1 wholé", "éwhole whole\u0301",
    "<|norm\u0041\u030a|> <|norm\u00c5|>", "norm <|plain|> norm<|plain|>", "<|endoftext", "|endoftext|>",
    "<0x41>", "<0x0A><0xFF>", "▁", "▁▁a", "a▁b", "Ġ", "ĠaĊb", "Ā", "\u2581<s>\u2581",
    "<s>a</s>b <s> c", "\ufffd", "\U0010ffff \ue000", "\u0378 unassigned",
    "lighthouse", "lighthouses lighthouse-keeper", "supercalifragilistic",
    "a" * 1500, "the" * 700, "ab" * 500 + " " * 300 + "x", " " * 257, "\n" * 100, "é" * 400, "😀" * 120,
    "0" * 100, "!" * 300, "waves " * 60,
]] + [
    b"\xff", b"a\xffb", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82a", b"\xf0\x9f\x98", b"\xf0\x9f\x98 \x80",
    b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\x80\x80\x80", b"ok\xfe\xffok",
    b"\xf0\x80\x80\x80x", b"caf\xe9 au lait", bytes(range(256)),
]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")

SPECIAL = dict(special=True, normalized=False)


def byte_level(vocabulary, **options):
    return trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                               show_progress=False, **options)


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(TEXT, byte_level(480))
    t.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=True)])
    return t


def prefixed():
    """GPT-2's kind with a blank in front, single digits (StarCoder, SmolLM) and BOS and EOS."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=True)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT, byte_level(400, special_tokens=["<s>", "</s>"]))
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return t


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT, byte_level(480))
    # Words that no merges lead to: ignore_merges must find them all the same.
    whole = json.loads(t.to_str())
    for word in ["lighthouse", "Ġlighthouse", "Ġfarero", "12", "ðŁĳį"]:
        whole["model"]["vocab"].setdefault(word, len(whole["model"]["vocab"]))
    t = Tokenizer.from_str(json.dumps(whole))
    t.add_special_tokens([AddedToken(s, **SPECIAL) for s in
                          ["<|begin_of_text|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
                                      special_tokens=[("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])])
    return t


def qwen():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(TEXT, byte_level(480))
    t.add_special_tokens([AddedToken(s, **SPECIAL) for s in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]])
    t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False),
                  AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False),
                  AddedToken("<left>", lstrip=True, normalized=False),
                  AddedToken("<right>", rstrip=True, normalized=True),
                  AddedToken("whole", single_word=True, normalized=True),
                  AddedToken("<|norm\u0041\u030a|>", normalized=True)])
    return t


def fallback_vocabulary(t, size, missing=0):
    """Trains `t`, then puts <unk>, <s>, </s> and the byte tokens in front."""
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=80, show_progress=False)
    t.train_from_iterator(TEXT, trainer)
    whole = json.loads(t.to_str())
    front = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256 - missing)]
    vocabulary = sorted(whole["model"]["vocab"], key=whole["model"]["vocab"].get)
    whole["model"]["vocab"] = {token: i for i, token in enumerate(front + [v for v in vocabulary if v not in front])}
    t = Tokenizer.from_str(json.dumps(whole))
    t.add_special_tokens([AddedToken(s, **SPECIAL) for s in front[:3]])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                     special_tokens=[("<s>", 1)])
    return t


def fallback_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def llama2():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = fallback_decoder()
    t = fallback_vocabulary(t, 380)
    t.add_tokens([AddedToken("<|plain|>", normalized=False), AddedToken("<tool_call>", normalized=True)])
    return t


def mistral():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = fallback_decoder()
    return fallback_vocabulary(t, 380)


def metaspace():
    """Metaspace on both sides, words cut, and bytes missing, so that <unk> shows."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return fallback_vocabulary(t, 300, missing=100)


def cuts():
    """Every way to cut at a match, no bytes to fall back to, unknown characters joined."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("!", "?")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split("e", behavior="merged_with_previous"),
        pre_tokenizers.Split(Regex("[aou]"), behavior="merged_with_next"),
        pre_tokenizers.Split(Regex(r"\p{Cyrillic}|[!-/]"), behavior="contiguous"),
        pre_tokenizers.Split(Regex(r"[^\p{Cc}]+"), behavior="removed", invert=True),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=True)])
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=200, limit_alphabet=60, show_progress=False,
                                                    special_tokens=["<unk>", "<s>", "</s>"]))
    t.add_tokens([AddedToken("ship", normalized=True)])
    return t


def charsmap(table):
    """SentencePiece's precompiled map of `table`, strings to strings: a double array and the replacements."""
    blob, places = b"", {}
    for value in dict.fromkeys(table.values()):
        places[value] = len(blob)
        blob += value.encode() + b"\0"
    units, taken = {0: 0}, {0}

    def build(node, entries):
        """entries: (rest of the key, place); sets the node's offset and its children."""
        children = {}
        for rest, place in entries:
            children.setdefault(rest[0] if rest else 0, []).append((rest[1:], place))
        offset = next(o for o in range(1, 1 << 21) if all(node ^ o ^ label not in taken for label in children))
        taken.update(node ^ offset ^ label for label in children)
        units[node] |= offset << 10 | (1 << 8 if 0 in children else 0)
        for label, rest in children.items():
            child = node ^ offset ^ label
            if label == 0:
                units[child] = 1 << 31 | rest[0][1]
            else:
                units[child] = label
                build(child, rest)

    build(0, [(key.encode(), places[value]) for key, value in table.items()])
    trie = b"".join(units.get(i, 0).to_bytes(4, "little") for i in range(max(units) + 256 & ~255))
    return len(trie).to_bytes(4, "little") + trie + blob


# A few of NFKC's mappings and SentencePiece's own: single characters, clusters, removals.
MAP = charsmap({"\ufb01": "fi", "\u00a0": " ", "\u3000": " ", "\u2003": " ", "\t": " ", "\n": " ", "\r": " ", "\x01": "",
                "\x7f": "", "\u200b": "", "\ufeff": "", "½": "1⁄2", "²": "2", "Ⅷ": "VIII", "e\u0301": "é", "A\u030a": "Å",
                "\u212b": "Å", "\u1100\u1161": "가", "\u2126": "Ω", "、": ",", "。": ".", "：": ":", "！": "!"})


def unigram(vocabulary):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Precompiled(MAP)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    t.train_from_iterator(TEXT, trainers.UnigramTrainer(vocab_size=vocabulary, show_progress=False, unk_token="<unk>",
                                                        special_tokens=["<pad>", "</s>", "<unk>"]))
    return json.loads(t.to_str())


def t5():
    """As the files of T5: white space dropped, </s> behind, sentinels as added tokens."""
    whole = unigram(420)
    t = Tokenizer.from_str(json.dumps(whole))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                               pre_tokenizers.Metaspace(prepend_scheme="always")])
    t.add_special_tokens([AddedToken(f"<extra_id_{i}>", special=True, normalized=False) for i in range(3)])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t


def unigram_bytes():
    """As transformers converts SentencePiece: runs of blanks, stripped ends, and bytes to fall back to."""
    whole = unigram(360)
    whole["model"]["byte_fallback"] = True
    whole["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
    t = Tokenizer.from_str(json.dumps(whole))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(MAP), normalizers.Strip(left=False, right=True),
                                         normalizers.Replace(Regex(" {2,}"), "▁")])
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return t


KINDS = [gpt2, prefixed, llama3, qwen, llama2, mistral, metaspace, cuts, t5, unigram_bytes]


def golden(t, rng):
    cases = []
    for raw in INPUTS:
        ids = t.encode(raw.decode("utf-8", "replace")).ids
        cases.append({"ids": ids, "text": t.decode(ids, skip_special_tokens=False)})
    decodes = []
    for _ in range(40):  # ids that no text encodes to: cut characters, specials, byte runs
        ids = [rng.randrange(t.get_vocab_size()) for _ in range(rng.randrange(1, 12))]
        decodes.append({"ids": ids, "text": t.decode(ids, skip_special_tokens=True)})
    return {"encode": cases, "decode": decodes}


def main():
    out = {"tokenizers": tokenizers.__version__, "inputs": [raw.hex() for raw in INPUTS], "kinds": {}}
    for make in KINDS:
        path = HERE / f"{make.__name__}.json"
        if not path.exists():
            whole = json.loads(make().to_str())
            if make in (gpt2, llama2):  # the older spelling of merges
                whole["model"]["merges"] = [" ".join(pair) for pair in whole["model"]["merges"]]
            path.write_text(json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n")
        out["kinds"][make.__name__] = golden(Tokenizer.from_file(str(path)), random.Random(1))
    (HERE / "goldens.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
    if len(sys.argv) > 1:
        real = {}
        for name in ["gpt2_tokenizer.json", "llama_spm_bpe_tokenizer.json"]:
            t = Tokenizer.from_file(str(pathlib.Path(sys.argv[1]) / name))
            real[name] = [t.encode(raw.decode("utf-8", "replace")).ids for raw in INPUTS]
        (HERE / "real_goldens.json").write_text(json.dumps(real, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
