"""CTranslate2 with its own converter of transformers' checkpoints.

It has no call for one step, so a generation is held after each token until the next is asked for; the
token is its own likeliest one, at the same cost.
"""
import queue
import threading

NAME = "ctranslate2"
TITLE = "CTranslate2"
ENVIRONMENT = "torch"
PACKAGES = ["ctranslate2", "torch", "transformers", "numpy"]
COMPUTE = {"bf16": "bfloat16", "f32": "float32"}
SETTINGS = "its converter for Llama, compute type bfloat16 or float32, greedy steps of `generate_batch`"


def supported(dtype):
    """The compute type of `dtype`; it would otherwise fall back to f32 without a word."""
    import ctranslate2
    types = sorted(ctranslate2.get_supported_compute_types("cpu"))
    if COMPUTE[dtype] not in types:
        raise RuntimeError(f"compute type {COMPUTE[dtype]} is not supported on this processor: it has {', '.join(types)}")
    return COMPUTE[dtype]


def prepare(checkpoint, folder, dtype):
    from ctranslate2.converters import TransformersConverter
    TransformersConverter(str(checkpoint)).convert(str(folder / "model"), quantization=supported(dtype), force=True)
    return folder / "model"


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import ctranslate2
        self.capacity = capacity
        self.generator = ctranslate2.Generator(artefact, device="cpu", compute_type=supported(dtype), intra_threads=threads)
        self.running = None

    def stop(self):
        """Ends the generation that is held, if there is one."""
        if self.running:
            self.stopped = True
            self.go.release()
            self.running[0].result()
            self.running = None

    def step(self, result):
        import numpy
        self.logits.put(numpy.array(result.logits).reshape(-1))
        self.go.acquire()
        return self.stopped

    def prefill(self, ids):
        self.stop()
        self.stopped, self.go, self.logits = False, threading.Semaphore(0), queue.Queue()
        words = [f"<{index}>" for index in ids]
        self.running = self.generator.generate_batch(
            [words], max_length=self.capacity - len(ids), sampling_topk=1, include_prompt_in_result=False,
            end_token=[], return_logits_vocab=True, callback=self.step, asynchronous=True)
        return self.logits.get()

    def decode(self, ids):
        for _ in ids:
            self.go.release()
            self.logits.get()
