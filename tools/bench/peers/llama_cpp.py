"""llama.cpp through llama-cpp-python, built natively; GGUF written from the checkpoint."""
import json

from peers import checkpoint as source

NAME = "llama_cpp"
TITLE = "llama.cpp"
ENVIRONMENT = "llama"
PACKAGES = ["llama-cpp-python", "gguf", "numpy"]
PIP_OPTIONS = ["--no-binary", "llama-cpp-python"]
PIP_ENVIRONMENT = {"CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF", "CMAKE_BUILD_PARALLEL_LEVEL": "1"}
SETTINGS = ("built from source with `GGML_NATIVE`; flash attention on, batches of 512 (its default), cache f16 (its default, and "
            "faster than bf16; f32 for f32); GGUF with bf16 or f32 kernels")

RENAMED = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
           "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
           "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def prepare(checkpoint, folder, dtype):
    import gguf
    import numpy
    config = json.loads((checkpoint / "config.json").read_text())
    heads, vocab = config["num_attention_heads"], config["vocab_size"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("none")
    if config.get("rope_scaling"):
        writer.add_tensor("rope_freqs.weight", numpy.array(source.rope_factors(config, head_dim), numpy.float32))
    for name, array in source.tensors(checkpoint):
        if name in OUTER:
            renamed = OUTER[name]
        else:
            _, _, layer, kind = name.removesuffix(".weight").split(".", 3)
            renamed = f"blk.{layer}.{RENAMED[kind]}.weight"
            if kind in ("self_attn.q_proj", "self_attn.k_proj"):  # rotates pairs, not halves
                count = heads if kind == "self_attn.q_proj" else kv_heads
                array = array.reshape(count, 2, head_dim // 2, -1).swapaxes(1, 2).reshape(array.shape)
        if array.dtype == numpy.float32:
            writer.add_tensor(renamed, array)
        elif array.ndim == 1:  # scales are f32 in every GGUF
            writer.add_tensor(renamed, (array.astype(numpy.uint32) << 16).view(numpy.float32))
        else:
            writer.add_tensor(renamed, numpy.ascontiguousarray(array).view(numpy.uint8),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "model.gguf"


class Model:
    def __init__(self, artefact, dtype, threads, capacity):
        import llama_cpp
        cache = llama_cpp.GGML_TYPE_F32 if dtype == "f32" else llama_cpp.GGML_TYPE_F16
        self.library = llama_cpp
        self.model = llama_cpp.Llama(artefact, n_ctx=capacity, n_threads=threads, n_threads_batch=threads, flash_attn=True,
                                     type_k=cache, type_v=cache, verbose=False)

    def prefill(self, ids):
        self.model.reset()
        self.model.eval(ids)
        logits = self.library.llama_get_logits_ith(self.model.ctx, -1)
        return logits[:self.model.n_vocab()]

    def decode(self, ids):
        for index in ids:
            self.model.eval([index])
