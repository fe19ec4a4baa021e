# Makes golden.json: what Hugging Face transformers generates from the checkpoint.
#
# The bf16 weights are widened and the model runs in float32, greedily, with no
# cache, so every token comes from one full forward pass. Next to the tokens
# stands the smallest margin between the two best logits along the way, as a
# share of the logits' range: an implementation whose logits differ by less
# than half of it must give the same tokens. With --samples it prints sampled
# continuations, the model card's source.
#
# Requirements: torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3
# safetensors==0.8.0

import argparse
import json
import pathlib

import tokenizers
import torch
import transformers

# One prompt in the manner of each text, picked for a wide margin.
PROMPTS = ["Then Moses said", "Mr. Knightley"]
NEW_TOKENS = 40
SEED = 20


def load(folder):
    """Returns the model in float32 and the tokenizer of `folder`."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


@torch.no_grad()
def greedy(model, ids, count):
    """Returns `count` new tokens after `ids` and the smallest relative margin."""
    ids, margins, low, high = list(ids), [], [], []
    for _ in range(count):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        best = logits.topk(2).values
        margins.append((best[0] - best[1]).item())
        low.append(logits.min().item())
        high.append(logits.max().item())
        ids.append(logits.argmax().item())
    return ids[-count:], min(margins) / (max(high) - min(low))


def golden(folder):
    """Returns the contents of golden.json."""
    model, tokenizer = load(folder)
    cases = []
    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt).ids
        tokens, margin = greedy(model, ids, NEW_TOKENS)
        cases.append({"prompt": prompt, "prompt_tokens": ids, "greedy_tokens": tokens,
                      "greedy_text": tokenizer.decode(tokens),
                      "smallest_relative_margin": margin})
    return {"torch": torch.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "weights": "bf16 widened to f32",
            "compute": "f32", "cases": cases}


def sample(folder, prompts, count):
    """Prints one continuation a prompt, top-k 40 at temperature 0.6."""
    model, tokenizer = load(folder)
    for prompt in prompts:
        torch.manual_seed(SEED)
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count,
                             do_sample=True, temperature=0.6, top_k=40, pad_token_id=1)
        print(f"--- {prompt}\n{tokenizer.decode(out[0].tolist())}\n", flush=True)


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description="make golden.json, or print samples")
    parser.add_argument("--checkpoint", type=pathlib.Path, default=here / "checkpoint")
    parser.add_argument("--out", type=pathlib.Path, default=here / "golden.json")
    parser.add_argument("--samples", nargs="+", metavar="PROMPT")
    parser.add_argument("--count", type=int, default=120)
    args = parser.parse_args()
    if args.samples:
        sample(args.checkpoint, args.samples, args.count)
    else:
        made = json.dumps(golden(args.checkpoint), indent=1)
        args.out.write_text(made + "\n")
