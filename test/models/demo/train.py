# Trains the demo model: a small Llama on the King James Bible and Jane Austen.
#
# From nothing but two Debian packages (corpus.py) it makes a byte-level BPE, a
# decoder of Llama's form and a Hugging Face folder of bf16 weights:
#
#   python train.py --cache /tmp/demo-corpus --out checkpoint
#
# Requirements (Python 3.11, Debian 12 on amd64; the seed is fixed, yet another
# CPU or another torch rounds differently, so weights are alike, not equal):
#   torch==2.15.0 tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6

import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import (AddedToken, Tokenizer, decoders, models, pre_tokenizers,
                        processors, trainers)

import corpus

SEED = 20
BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 2048,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "pretraining_tp": 1,
    "use_cache": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "bfloat16",
}
# A step sees BATCH_TOKENS tokens: rows of 256, in the last part rows of 512.
BATCH_TOKENS, LONG_PART = 4096, 0.15
PEAK_LR, END_LR, WARMUP, WEIGHT_DECAY = 3e-3, 1e-4, 150, 0.1
HELD_OUT = 0.02  # share of the chapters


def train_tokenizer(texts):
    """Returns a byte-level BPE of the size CONFIG names, BOS put before a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"], min_frequency=2, show_progress=False,
        special_tokens=[AddedToken(BOS, special=True), AddedToken(EOS, special=True)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[(BOS, 0)])])
    if tokenizer.get_vocab_size() != CONFIG["vocab_size"]:
        raise SystemExit(f"tokenizer has {tokenizer.get_vocab_size()} tokens, "
                         f"expected {CONFIG['vocab_size']}")
    return tokenizer


class Stream:
    """Chapters as one row of tokens, `BOS text EOS`, and where paragraphs begin."""

    def __init__(self, chapters, tokenizer):
        tokens, starts = [], []
        encoded = tokenizer.encode_batch(
            [p + "\n" for chapter in chapters for p in chapter], add_special_tokens=False)
        lines = iter(encoded)
        for chapter in chapters:
            tokens.append(CONFIG["bos_token_id"])
            for _ in chapter:
                starts.append(len(tokens))
                tokens += next(lines).ids
            tokens.append(CONFIG["eos_token_id"])
        self.tokens = np.array(tokens, dtype=np.int64)
        self.starts = np.array(starts)

    def batch(self, rng, rows, width):
        """Returns tokens (rows, width + 1).

        Every other row is BOS and a paragraph's beginning, as a prompt is; the
        rest begin anywhere, so that the ends of long paragraphs are seen."""
        at = rng.integers(0, len(self.tokens) - width - 1, rows)
        out = np.empty((rows, width + 1), dtype=np.int64)
        for row in range(rows):
            if row % 2:
                out[row] = self.tokens[at[row]:at[row] + width + 1]
                continue
            nearest = self.starts[np.searchsorted(self.starts, at[row], "right") - 1]
            text = self.tokens[nearest:nearest + width]
            out[row, 0], out[row, 1:] = CONFIG["bos_token_id"], text
        return torch.from_numpy(out)


class Llama(torch.nn.Module):
    """The decoder, its parameters under the names Hugging Face stores them by."""

    def __init__(self):
        super().__init__()
        c = CONFIG
        hidden, ffn, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
        query = c["num_attention_heads"] * c["head_dim"]
        key = c["num_key_value_heads"] * c["head_dim"]
        std, out_std = 0.02, 0.02 / math.sqrt(2 * layers)

        def matrix(rows, columns, deviation):
            return torch.nn.Parameter(torch.randn(rows, columns) * deviation)

        named = {"embed_tokens.weight": matrix(c["vocab_size"], hidden, std),
                 "norm.weight": torch.nn.Parameter(torch.ones(hidden))}
        for i in range(layers):
            named |= {f"layers.{i}.{name}": value for name, value in {
                "input_layernorm.weight": torch.nn.Parameter(torch.ones(hidden)),
                "self_attn.q_proj.weight": matrix(query, hidden, std),
                "self_attn.k_proj.weight": matrix(key, hidden, std),
                "self_attn.v_proj.weight": matrix(key, hidden, std),
                "self_attn.o_proj.weight": matrix(hidden, query, out_std),
                "post_attention_layernorm.weight": torch.nn.Parameter(torch.ones(hidden)),
                "mlp.gate_proj.weight": matrix(ffn, hidden, std),
                "mlp.up_proj.weight": matrix(ffn, hidden, std),
                "mlp.down_proj.weight": matrix(hidden, ffn, out_std)}.items()}
        self.named = named
        for name, value in named.items():
            self.register_parameter(name.replace(".", "-"), value)
        power = torch.arange(0, c["head_dim"], 2) / c["head_dim"]
        angle = torch.outer(torch.arange(c["max_position_embeddings"]),
                            c["rope_theta"] ** -power)
        self.cos = torch.cat([angle, angle], -1).cos()  # (positions, headDim)
        self.sin = torch.cat([angle, angle], -1).sin()

    def forward(self, tokens):
        """Maps tokens (batch, width) to logits (batch, width, vocab)."""
        w, eps, (batch, width) = self.named, CONFIG["rms_norm_eps"], tokens.shape
        cos, sin = self.cos[:width], self.sin[:width]

        def norm(x, name):
            return F.rms_norm(x.float(), x.shape[-1:], w[name], eps)

        def heads(x):
            return x.view(batch, width, -1, CONFIG["head_dim"]).transpose(1, 2)

        def rotate(x):
            low, high = x.chunk(2, -1)
            return x * cos + torch.cat([-high, low], -1) * sin

        x = F.embedding(tokens, w["embed_tokens.weight"])
        for i in range(CONFIG["num_hidden_layers"]):
            at = f"layers.{i}."
            h = norm(x, at + "input_layernorm.weight")
            q, k, v = (heads(F.linear(h, w[f"{at}self_attn.{n}_proj.weight"])) for n in "qkv")
            # In f32, which the fused attention of a CPU does faster than bf16.
            a = F.scaled_dot_product_attention(rotate(q.float()), rotate(k.float()),
                                               v.float(), is_causal=True, enable_gqa=True)
            a = a.transpose(1, 2).reshape(batch, width, -1)
            x = x + F.linear(a, w[at + "self_attn.o_proj.weight"])
            h = norm(x, at + "post_attention_layernorm.weight")
            h = F.silu(F.linear(h, w[at + "mlp.gate_proj.weight"])) \
                * F.linear(h, w[at + "mlp.up_proj.weight"])
            x = x + F.linear(h, w[at + "mlp.down_proj.weight"])
        return F.linear(norm(x, "norm.weight"), w["embed_tokens.weight"])


def loss_of(model, batch):
    """Returns the mean cross entropy in nats a token of batch (rows, width + 1)."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())


@torch.no_grad()
def evaluate(model, stream, width=256, limit=None):
    """Returns the loss over consecutive rows of `stream`, at most `limit` of them."""
    rows = torch.from_numpy(stream.tokens[:(len(stream.tokens) - 1) // width * width + 1])
    rows = rows.unfold(0, width + 1, width)[:limit]
    losses = [loss_of(model, part).item() * len(part) for part in rows.split(16)]
    return sum(losses) / len(rows)


def export(model, tokenizer, out):
    """Writes the Hugging Face folder, every weight rounded to bf16."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save_file({f"model.{name}": value.detach().to(torch.bfloat16).contiguous()
               for name, value in model.named.items()},
              out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    tokenizer.save(str(out / "tokenizer.json"))
    length = CONFIG["max_position_embeddings"]
    for name, value in {
            "config.json": CONFIG,
            "generation_config.json": {
                "bos_token_id": 0, "eos_token_id": 1, "do_sample": True,
                "temperature": 0.6, "top_k": 40},
            "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS,
                "eos_token": EOS, "clean_up_tokenization_spaces": False,
                "model_max_length": length}}.items():
        (out / name).write_text(json.dumps(value, indent=2) + "\n")


def learning_rate(step, part):
    """Returns the rate of a step when `part` of the run is over.

    Linear warm-up, then half a cosine down to END_LR at the run's end."""
    cosine = END_LR + (PEAK_LR - END_LR) * 0.5 * (1 + math.cos(math.pi * part))
    return min(1.0, (step + 1) / WARMUP) * cosine


def train(args):
    torch.manual_seed(SEED)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(SEED)
    documents = corpus.load(args.cache)
    kept, held = [], {}
    for source, chapters in documents.items():
        out = set(rng.choice(len(chapters), round(HELD_OUT * len(chapters)), replace=False))
        kept += [c for i, (_, c) in enumerate(chapters) if i not in out]
        held[source] = [c for i, (_, c) in enumerate(chapters) if i in out]
    order = rng.permutation(len(kept))
    tokenizer = train_tokenizer("\n".join(kept[i]) + "\n" for i in order)
    stream = Stream([kept[i] for i in order], tokenizer)
    held = {source: Stream(chapters, tokenizer) for source, chapters in held.items()}
    model = Llama()
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(stream.tokens)} "
          f"training tokens, held out {({s: len(h.tokens) for s, h in held.items()})}",
          flush=True)

    matrices = [p for p in model.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY},
         {"params": norms, "weight_decay": 0.0}], betas=(0.9, 0.98), eps=1e-9, fused=True)
    begin, window = time.time(), []
    step = 0
    while (part := max(step / args.steps, (time.time() - begin) / (60 * args.minutes))) < 1:
        width = 512 if part >= 1 - LONG_PART else 256
        loss = loss_of(model, stream.batch(rng, BATCH_TOKENS // width, width))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, part)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        window.append(loss.item())
        if step % 50 == 0:
            seconds = time.time() - begin
            print(f"step {step} part {part:.3f} loss {np.mean(window[-50:]):.4f} "
                  f"{seconds:.0f} s {step * BATCH_TOKENS / seconds:.0f} tokens/s",
                  flush=True)
        if step % args.save_every == 0:
            export(model, tokenizer, args.out)
            print("held out", {s: round(evaluate(model, h, limit=32), 4)
                               for s, h in held.items()}, flush=True)
    export(model, tokenizer, args.out)
    print(f"{step} steps", flush=True)
    report(model, stream, held)


def report(model, stream, held):
    """Prints the losses of the weights as stored, that is, rounded to bf16."""
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(value.to(torch.bfloat16))
    print("train", round(evaluate(model, stream, limit=400), 4), "held out",
          {s: round(evaluate(model, h), 4) for s, h in held.items()}, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="train the demo model")
    parser.add_argument("--cache", default="/tmp/demo-corpus",
                        help="where the two packages are downloaded to")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent / "checkpoint")
    parser.add_argument("--steps", type=int, default=4000,
                        help="steps of 4096 tokens; the stored checkpoint has had 2163")
    parser.add_argument("--minutes", type=float, default=math.inf,
                        help="end earlier than --steps, the schedule shortened to match")
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())
