"""graphc through its C interface: a shared object, and the checkpoint mapped as it is."""
import ctypes
import os
import pathlib
import subprocess

NAME = "graphc"
TITLE = "graphc"
ENVIRONMENT = "common"
PACKAGES = ["numpy"]
FLAGS = {"bf16": ["--policy", "compute=bf16,output=f32", "--pin-cache=bf16"], "f32": ["--pin-cache=f32"]}
SETTINGS = ("compiled to a shared object with `--policy compute=bf16,output=f32 --pin-cache=bf16` (bf16) or "
            "`--pin-cache=f32` (f32), run through `graphc/c/graphc.h`")


def build():
    """The folder that graphc was built in."""
    return pathlib.Path(os.environ["GRAPHC_BUILD"])


def prepare(checkpoint, folder, dtype):
    subprocess.run([build() / "bin/graphc", checkpoint, *FLAGS[dtype], "--no-compile-cache", "-o", folder / "model.so"],
                   check=True)
    return f"{folder / 'model.so'}\n{checkpoint}"


class SessionOptions(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "capacity", "source_capacity", "chunk", "threads")]


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        self.library = ctypes.CDLL(build() / "lib/libgraphc_runtime.so")
        for name in ("graphc_open", "graphc_session_open"):
            getattr(self.library, name).restype = ctypes.c_void_p
        self.library.graphc_vocab_size.restype = ctypes.c_int64
        self.error = ctypes.c_char_p()
        model = ctypes.c_void_p(self.library.graphc_open(*(part.encode() for part in artefact.split("\n")),
                                                         ctypes.byref(self.error)))
        self.check(model)
        self.vocab = self.library.graphc_vocab_size(model)
        options = SessionOptions(capacity=capacity, threads=threads)
        self.session = ctypes.c_void_p(self.library.graphc_session_open(model, ctypes.byref(options),
                                                                        ctypes.byref(self.error)))
        self.check(self.session)

    def check(self, succeeded):
        if not succeeded:
            raise RuntimeError(self.error.value.decode())

    def forward(self, ids):
        logits = ctypes.POINTER(ctypes.c_float)()
        failed = self.library.graphc_forward(self.session, ctypes.c_int64(0), (ctypes.c_int32 * len(ids))(*ids),
                                             ctypes.c_size_t(len(ids)), ctypes.byref(logits), ctypes.byref(self.error))
        self.check(not failed)
        return logits

    def prefill(self, ids):
        self.check(not self.library.graphc_session_reset(self.session, ctypes.c_int64(0), ctypes.byref(self.error)))
        return self.forward(ids)[:self.vocab]

    def decode(self, ids):
        for index in ids:
            self.forward([index])
