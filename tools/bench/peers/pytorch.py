"""PyTorch through transformers, eager: scaled dot product attention and a cache that grows."""
NAME = "pytorch"
TITLE = "PyTorch, eager"
ENVIRONMENT = "torch"
PACKAGES = ["torch", "transformers", "numpy"]
SETTINGS = "transformers, `no_grad`, `sdpa` attention, DynamicCache, logits of the last token only"


def prepare(checkpoint, folder, dtype):
    return checkpoint


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import torch
        import transformers
        self.torch, self.transformers = torch, transformers
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.step = self.model = transformers.AutoModelForCausalLM.from_pretrained(
            artefact, dtype={"bf16": torch.bfloat16, "f32": torch.float32}[dtype], attn_implementation="sdpa").eval()

    def forward(self, ids):
        return self.step(input_ids=self.torch.tensor([ids]), cache=self.cache, use_cache=True, logits_to_keep=1)

    def prefill(self, ids):
        self.cache = self.transformers.DynamicCache(config=self.model.config)
        return self.forward(ids).logits[0, -1].float().numpy()

    def decode(self, ids):
        for index in ids:
            self.forward([index])
