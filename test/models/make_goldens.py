#!/usr/bin/env python3
"""Makes the golden fixtures of test/models with Hugging Face transformers.

Requirements (only to make or check fixtures; building and testing the compiler needs no Python):
  Python 3.10+, torch, transformers >= 5, safetensors, numpy
  The versions that made a fixture are recorded in its golden.json. No network and no accelerator is used.

Usage:
  make_goldens.py                     makes every fixture that is missing
  make_goldens.py --force llama/mha   makes the named fixtures again
  make_goldens.py --check             makes all again in a temporary folder and compares with the committed ones

Per fixture seeds are tried in order until one passes every condition: the greedy run's smallest margin between the two
best logits is above MARGIN of the logits' range, and every mutation of golden_mutations.py moves the logits by more
than SHIFT tolerances. README.md beside this file describes what is written.
"""

import argparse
import copy
import json
import os
import shutil
import sys
import tempfile

import numpy as np
import torch
import transformers

from golden_checkpoint import FAMILIES, write_checkpoint
from golden_fixtures import FIXTURES
from golden_mutations import fix_rope, is_near_identical, mutations
from golden_reference import ORACLES

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 2e-5  # of the logits' range: what an f32 run may differ from a golden
MARGIN = 10 * TOLERANCE  # smallest margin of a greedy choice, of the range
SHIFT = 100  # tolerances that a mutation must move the logits by
NEAR_SHIFT = 3  # the same for the two forms of gelu
BATCH_ERROR = 1e-5  # of the range: batched with left padding against alone
DISTINCT = 4  # different tokens a greedy run must have
SEEDS = 2000


class Rejected(Exception):
    """This seed does not make a usable fixture."""


def load(folder, fixture):
    """The checkpoint as a user of transformers gets it, in float32, with the session's rope."""
    loader = transformers.AutoModelForSeq2SeqLM if fixture.prefix_lengths else transformers.AutoModelForCausalLM
    model, info = loader.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    assert fixture.buffers or not info["unexpected_keys"], info
    if fixture.prefix_lengths:
        own = fixture.config.get("tie_word_embeddings", True) is False
        assert torch.equal(model.lm_head.weight, model.get_input_embeddings().weight) != own
    model.eval()
    if fixture.is_llama_like:
        expected = fixture.rope
        found = model.config.rope_parameters
        assert all(found[k] == v for k, v in expected.items()), (expected, found)
        fix_rope(model, fixture.session_length)
    return model


def hiding(n, first):
    """An additive mask (1, 1, n, n) of the keys from `first` behind the query on."""
    return torch.full((n, n), torch.finfo(torch.float32).min).triu(first)[None, None]


def forward(model, prompt, causal=True, **more):
    """Logits (tokens, vocab) of one sequence alone; without `causal` each query also sees the next key. A prompt with a
    source is (source, what the decoder starts with), and causal "encoder" hides the future from the encoder."""
    if not isinstance(prompt, tuple):
        return model(torch.tensor([prompt]), attention_mask=None if causal else hiding(len(prompt), 2), **more)
    source, prefix = prompt
    mask = None if causal else hiding(len(prefix), 2)
    encoded = None
    if causal == "encoder":
        encoded = model.get_encoder()(torch.tensor([source]), attention_mask=hiding(len(source), 1), return_dict=True)
    return model(torch.tensor([source]), decoder_input_ids=torch.tensor([prefix]), decoder_attention_mask=mask,
                 encoder_outputs=encoded, **more)


def stepper(model, prompt):
    """A function that feeds the model more tokens of the sequence, with cache, and returns what it gives."""
    state, encoded = dict(past_key_values=None), {}
    if isinstance(prompt, tuple):
        encoded = dict(encoder_outputs=model.get_encoder()(torch.tensor([prompt[0]]), return_dict=True))

    def step(ids):
        tokens = torch.tensor([ids])
        fed = dict(decoder_input_ids=tokens, **encoded) if encoded else dict(input_ids=tokens)
        out = model(**fed, use_cache=True, past_key_values=state["past_key_values"])
        state["past_key_values"] = out.past_key_values
        return out
    return step


def own_tokens(prompt):
    """The tokens whose logits are wanted."""
    return prompt[1] if isinstance(prompt, tuple) else prompt


def longer(prompt, new):
    return (prompt[0], prompt[1] + new) if isinstance(prompt, tuple) else prompt + new


def greedy(model, prompt, count):
    """(tokens, margins) of `count` greedy steps with cache; a margin is best minus second logit."""
    step = stepper(model, prompt)
    out = step(own_tokens(prompt))
    tokens, margins = [], []
    for _ in range(count):
        best = out.logits[0, -1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        out = step(tokens[-1:])
    return tokens, margins


def right_padded(sequences):
    """(ids, mask) of one batch."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(s) for s in sequences], batch_first=True)
    return ids, torch.tensor([[int(i < len(s)) for i in range(ids.shape[1])] for s in sequences])


def batch_error(model, prompts, logits):
    """Largest difference between the prompts run as one left-padded batch with explicit positions and run alone. With
    sources: right-padded, since their positions cannot be given."""
    if isinstance(prompts[0], tuple):
        (ids, mask), (prefix, _) = (right_padded([p[k] for p in prompts]) for k in (0, 1))
        batch = model(ids, attention_mask=mask, decoder_input_ids=prefix).logits
        return max(float((batch[row, :len(p[1])] - logits[row]).abs().max()) for row, p in enumerate(prompts))
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt):] = torch.tensor(prompt)
        mask[row, width - len(prompt):] = 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    batch = model(ids, attention_mask=mask, position_ids=positions).logits
    return max(float((batch[row, width - len(p):] - logits[row]).abs().max()) for row, p in enumerate(prompts))


def cache_error(model, prompts, tokens):
    """Largest difference between one forward over prompt and generated tokens and the same fed token by token."""
    worst = 0.0
    for prompt, new in zip(prompts, tokens):
        whole = longer(prompt, new)
        logits, step = forward(model, whole).logits[0], stepper(model, prompt)
        for i, token in enumerate(own_tokens(whole)):
            worst = max(worst, float((step([token]).logits[0, 0] - logits[i]).abs().max()))
    return worst


def draw_prompts(fixture, seed):
    """Random ids; the longest prompt begins with the last and the first id of the vocabulary."""
    rng = np.random.default_rng([seed, 1])
    vocab = fixture.config["vocab_size"]
    prompts = [[int(t) for t in rng.integers(0, vocab, n)] for n in fixture.prompt_lengths]
    max(prompts, key=len)[:2] = [vocab - 1, 0]
    if not fixture.prefix_lengths:
        return prompts
    start = FAMILIES[fixture.family][3]["decoder_start_token_id"]
    return [(source, [start] + [int(t) for t in rng.integers(0, vocab, n - 1)])
            for source, n in zip(prompts, fixture.prefix_lengths)]


def measure_mutations(model, fixture, prompts, logits, scale):
    """{name: largest change of a logit, of the range}; rejects the seed at the first that is too small."""
    shifts = {}
    for name, change, causal in mutations(model, fixture.session_length):
        mutant = copy.deepcopy(model)
        change(mutant)
        shift = max(float((forward(mutant, p, causal).logits[0] - golden).abs().max())
                    for p, golden in zip(prompts, logits)) / scale
        least = (NEAR_SHIFT if is_near_identical(name, model.config) else SHIFT) * TOLERANCE
        if shift <= least:
            raise Rejected(f"{name}: moves the logits by {shift / TOLERANCE:.1f} tolerances only")
        shifts[name] = float(f"{shift:.4g}")
    return shifts


def make(fixture, seed, folder):
    """Writes the checkpoint and its goldens into `folder`, or raises Rejected."""
    write_checkpoint(fixture, seed, folder)
    model = load(folder, fixture)
    prompts = draw_prompts(fixture, seed)
    outs = [forward(model, p, output_hidden_states=True, output_attentions=fixture.attentions) for p in prompts]
    logits = [o.logits[0] for o in outs]
    scale = float(max(t.max() for t in logits) - min(t.min() for t in logits))

    runs = [greedy(model, p, fixture.new_tokens) for p in prompts]
    margin = min(min(margins) for _, margins in runs) / scale
    if margin <= MARGIN:
        raise Rejected(f"margin {margin:.1e} of the range")
    tokens = [t for t, _ in runs]
    # A decoder whose positions are a bias only soon repeats itself: one run that does not is asked for.
    if (max if fixture.prefix_lengths else min)(len(set(t)) for t in tokens) < DISTINCT:
        raise Rejected("greedy run repeats itself")
    ends = fixture.extra_config.get("eos_token_id", [])
    if any(set(t) & set(ends) for t in tokens):
        raise Rejected("greedy run meets an end token")

    shifts = measure_mutations(model, fixture, prompts, logits, scale)
    batch, cached = batch_error(model, prompts, logits) / scale, cache_error(model, prompts, tokens) / scale
    if max(batch, cached) > BATCH_ERROR:
        raise Rejected(f"batched or cached logits differ by {max(batch, cached):.1e} of the range")
    oracle = ORACLES[fixture.family]
    exact = max(float((oracle(model, *(p if isinstance(p, tuple) else (p,))) - t.double()).abs().max())
                for p, t in zip(prompts, logits)) / scale
    if exact > BATCH_ERROR:
        raise Rejected(f"float32 differs from float64 by {exact:.1e} of the range")

    for i, out in enumerate(outs):
        if fixture.prefix_lengths:
            states = torch.cat(out.decoder_hidden_states)
            np.save(os.path.join(folder, f"encoder_hidden_states_{i}.npy"), torch.cat(out.encoder_hidden_states).numpy())
        else:
            states = torch.cat(out.hidden_states)  # (layers + 1, tokens, hidden)
            assert torch.equal(model.lm_head(states[-1]), logits[i]), "last hidden state must be after the final norm"
        np.save(os.path.join(folder, f"logits_{i}.npy"), logits[i].numpy())
        np.save(os.path.join(folder, f"hidden_states_{i}.npy"), states.numpy())
        if fixture.attentions and fixture.prefix_lengths:  # (layers, heads, queries, keys)
            for name, weights in (("attentions", out.decoder_attentions), ("cross_attentions", out.cross_attentions),
                                  ("encoder_attentions", out.encoder_attentions)):
                np.save(os.path.join(folder, f"{name}_{i}.npy"), torch.cat(weights).numpy())
        elif fixture.attentions:
            weights = torch.cat(out.attentions)  # (layers, heads, tokens, tokens)
            np.save(os.path.join(folder, f"attentions_{i}.npy"), weights.numpy())
    golden = {
        "fixture": f"{fixture.family}/{fixture.name}",
        "covers": fixture.covers,
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__, "numpy": np.__version__,
                      "attention": "eager", "dtype": "float32", "threads": 1},
        "seed": seed,
        "session_length": fixture.session_length,
        "prompts": [p[0] if isinstance(p, tuple) else p for p in prompts],
        **({"decoder_prompts": [p[1] for p in prompts]} if fixture.prefix_lengths else {}),
        "greedy": tokens,
        "logits_range": scale,
        "tolerance": TOLERANCE * scale,
        "min_margin": float(f"{margin:.4g}"),
        "batch_error": float(f"{batch:.2g}"),
        "cache_error": float(f"{cached:.2g}"),
        "f32_f64_error": float(f"{exact:.2g}"),
        "mutations": shifts,
    }
    with open(os.path.join(folder, "golden.json"), "w") as f:
        f.write(render(golden) + "\n")
    return golden


def render(golden):
    """JSON with one key a line and lists of ids on one line each."""
    def value(v, indent):
        if isinstance(v, dict):
            inner = ",\n".join(f"{' ' * (indent + 2)}{json.dumps(k)}: {value(x, indent + 2)}" for k, x in v.items())
            return "{\n" + inner + "\n" + " " * indent + "}"
        if isinstance(v, list) and v and isinstance(v[0], list):
            inner = ",\n".join(" " * (indent + 2) + json.dumps(x) for x in v)
            return "[\n" + inner + "\n" + " " * indent + "]"
        return json.dumps(v)
    return value(golden, 0)


def search(fixture, folder, first=0):
    """Tries seeds from `first` until one is accepted; `folder` then holds the fixture."""
    for seed in range(first, SEEDS):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with torch.no_grad():
                return make(fixture, seed, folder)
        except Rejected as reason:
            print(f"  seed {seed}: {reason}", flush=True)
    raise SystemExit(f"{fixture.family}/{fixture.name}: no seed below {SEEDS} passes")


def compare(fixture, made, committed):
    """Lines about what differs: ids and weights exactly, floating-point results by more than a tenth of a tolerance."""
    golden, kept = (json.load(open(os.path.join(d, "golden.json"))) for d in (made, committed))
    for key in ("seed", "session_length", "prompts", "decoder_prompts", "greedy"):
        if golden.get(key) != kept.get(key):
            yield f"{key} differs"
    for name in sorted(set(os.listdir(made)) | set(os.listdir(committed))):
        paths = [os.path.join(d, name) for d in (made, committed)]
        if not all(map(os.path.exists, paths)):
            yield f"{name} is only in one of the folders"
        elif name.endswith(".npy"):
            a, b = map(np.load, paths)
            limit = 0.1 * TOLERANCE * float(b.max() - b.min())
            if a.shape != b.shape or not np.abs(a - b).max() <= limit:
                yield f"{name} differs by more than {limit:.2g}"
        elif name.endswith(".safetensors") and open(paths[0], "rb").read() != open(paths[1], "rb").read():
            yield f"{name} differs"


def report(golden):
    least = min(golden["mutations"].items(), key=lambda m: m[1])
    print(f"{golden['fixture']}: seed {golden['seed']}, margin {golden['min_margin']:.2e}, f32-f64 "
          f"{golden['f32_f64_error']:.1e}, batch {golden['batch_error']:.1e}, {len(golden['mutations'])} mutations, "
          f"least {least[1] / TOLERANCE:.0f} tolerances ({least[0]})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", nargs="*", help="family/name; default: all")
    parser.add_argument("--force", action="store_true", help="make again what exists")
    parser.add_argument("--check", action="store_true", help="compare with the committed fixtures, change nothing")
    args = parser.parse_args()
    unknown = set(args.fixtures) - {f"{f.family}/{f.name}" for f in FIXTURES}
    if unknown:
        parser.error(f"unknown fixture: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    failures = 0
    for fixture in FIXTURES:
        name = f"{fixture.family}/{fixture.name}"
        final = os.path.join(HERE, name)
        if args.fixtures and name not in args.fixtures:
            continue
        if os.path.exists(final) and not args.force and not args.check:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            made = os.path.join(scratch, fixture.name)
            if args.check:
                seed = json.load(open(os.path.join(final, "golden.json")))["seed"]
                report(search(fixture, made, seed))
                for line in compare(fixture, made, final):
                    print(f"{name}: {line}")
                    failures += 1
                continue
            report(search(fixture, made))
            shutil.rmtree(final, ignore_errors=True)
            shutil.copytree(made, final)
            for entry in os.listdir(final):
                os.chmod(os.path.join(final, entry), 0o644)  # safetensors writes files only the owner may read
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
