"""PyTorch through transformers, with torch.compile over a static cache."""
from peers import pytorch

NAME = "pytorch_compiled"
TITLE = "PyTorch, torch.compile"
ENVIRONMENT = pytorch.ENVIRONMENT
PACKAGES = pytorch.PACKAGES
SETTINGS = ("as eager, with a StaticCache of the prompt and 64 tokens more; decoding through `torch.compile`, prefill as eager, "
            "which is what `generate` compiles; Inductor's code comes from its cache on disk after a first process")
ROOM = 64  # rows of the static cache behind the prompt
prepare = pytorch.prepare


class Model(pytorch.Model):
    def __init__(self, artefact, dtype, threads, capacity):
        super().__init__(artefact, dtype, threads, capacity)
        self.compiled = self.torch.compile(self.model, dynamic=False)

    def new_cache(self, length):
        return self.transformers.StaticCache(config=self.model.config, max_cache_len=length + ROOM)

    def prefill(self, ids):
        self.step = self.model
        return super().prefill(ids)

    def decode(self, ids):
        self.step = self.compiled
        super().decode(ids)
