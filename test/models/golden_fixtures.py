"""The table of golden fixtures: which checkpoint shapes exist and what each one is there to cover.

A fixture is a small random checkpoint in Hugging Face folder layout plus the results that transformers computes from
it. Shapes are odd on purpose, so that a kernel which forgets a remainder, or an importer which derives one size from
another, is caught.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fixture:
    """One folder test/models/<family>/<name>.

    config:         keys of config.json that give the geometry
    rope:           rope keys in the new spelling (rope_parameters); Llama and its kin only
    style:          "new" writes config.json through transformers 5, "old" spells it as transformers 4 did
    old_rope:       the same keys as `rope` in the old spelling (rope_theta, rope_scaling); style "old" only
    dtype:          dtype of the stored tensors; the goldens are computed in float32 from the widened values
    embedding_std:  below 1 for tied heads, or every model would only repeat its input
    extra_config:   further keys put into config.json as they are
    buffers:        stores the buffers that old checkpoints carry and a reader must skip
    store_head:     stores lm_head.weight although it is tied
    prefix_lengths: of an encoder and decoder: tokens the decoder starts with, one for each prompt, which is the source
    attentions:     also stores the attention weights that `output_attentions` gives
    """

    family: str
    name: str
    covers: str
    config: dict
    dtype: str
    prompt_lengths: tuple
    new_tokens: int = 12
    rope: dict = field(default_factory=dict)
    style: str = "new"
    old_rope: dict = field(default_factory=dict)
    shards: int = 1
    embedding_std: float = 1.0
    prefix: str = "transformer."
    extra_config: dict = field(default_factory=dict)
    buffers: bool = False
    store_head: bool = False
    prefix_lengths: tuple = ()
    attentions: bool = False

    @property
    def is_llama_like(self) -> bool:
        """True for the families with Llama's tensors: Mistral adds a window."""
        return self.family in ("llama", "mistral")

    @property
    def session_length(self) -> int:
        """Longest prompt plus the generated tokens: the length that `dynamic` and `longrope` are computed for."""
        return max(self.prefix_lengths or self.prompt_lengths) + self.new_tokens


SHORT = (5, 1, 11)
LONG = (9, 1, 37)


def llama(hidden, heads, kv, ffn, vocab, layers, **more):
    return dict(hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=kv, intermediate_size=ffn,
                vocab_size=vocab, num_hidden_layers=layers, **more)


def gpt2(hidden, heads, inner, vocab, layers, positions, **more):
    return dict(n_embd=hidden, n_head=heads, n_inner=inner, vocab_size=vocab, n_layer=layers, n_positions=positions,
                **more)


def t5(hidden, heads, head, ffn, vocab, **more):
    return dict(d_model=hidden, num_heads=heads, d_kv=head, d_ff=ffn, vocab_size=vocab, **more)


def bart(hidden, encoder, decoder, vocab, positions, **more):
    """encoder and decoder: (layers, heads, ffn)."""
    sides = {f"{side}_{key}": n for side, sizes in (("encoder", encoder), ("decoder", decoder))
             for key, n in zip(("layers", "attention_heads", "ffn_dim"), sizes)}
    return dict(d_model=hidden, vocab_size=vocab, max_position_embeddings=positions, **sides, **more)


FIXTURES = [
    Fixture(
        "llama", "mha", "one kv head per head, head size 8, untied head, default rope",
        llama(32, 4, 4, 52, 101, 2, max_position_embeddings=64, rms_norm_eps=1e-3, tie_word_embeddings=False),
        "float32", SHORT, new_tokens=16, rope=dict(rope_type="default", rope_theta=10000.0), attentions=True),
    Fixture(
        "llama", "mqa_bias_one_layer", "one layer, one kv head, head size 20, every bias, tied head, own rope base",
        llama(60, 3, 1, 70, 77, 1, max_position_embeddings=64, rms_norm_eps=1e-3, tie_word_embeddings=True,
              attention_bias=True, mlp_bias=True),
        "bfloat16", SHORT, new_tokens=16, style="old", rope=dict(rope_type="default", rope_theta=500.0),
        old_rope=dict(rope_theta=500.0, rope_scaling=None), embedding_std=0.3),
    Fixture(
        "llama", "linear", "grouped kv heads, linear rope scaling under the key `type`, stored inv_freq buffers",
        llama(48, 6, 2, 84, 93, 2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True),
        "float16", LONG, style="old", rope=dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        old_rope=dict(rope_scaling=dict(type="linear", factor=4.0)), embedding_std=0.05, buffers=True),
    Fixture(
        "llama", "dynamic", "dynamic rope scaling past max_position_embeddings, head size 20, attention biases only",
        llama(40, 2, 2, 44, 83, 2, max_position_embeddings=16, rms_norm_eps=2e-3, tie_word_embeddings=False,
              attention_bias=True),
        "bfloat16", LONG, rope=dict(rope_type="dynamic", rope_theta=1000.0, factor=2.0)),
    Fixture(
        "llama", "yarn", "yarn with its defaults, explicit head_dim (heads * head_dim != hidden), mlp biases only",
        llama(36, 3, 1, 50, 91, 2, head_dim=20, max_position_embeddings=64, rms_norm_eps=1e-3,
              tie_word_embeddings=False, mlp_bias=True),
        "bfloat16", LONG,
        rope=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)),
    Fixture(
        "llama", "yarn_mscale", "yarn with beta_fast, beta_slow, mscale, mscale_all_dim and truncate set",
        llama(40, 4, 2, 46, 85, 2, head_dim=20, max_position_embeddings=48, rms_norm_eps=1e-3,
              tie_word_embeddings=True),
        "float16", LONG, style="old", store_head=True,
        rope=dict(rope_type="yarn", rope_theta=50.0, factor=3.0, original_max_position_embeddings=16, beta_fast=1.5,
                  beta_slow=0.25, mscale=2.0, mscale_all_dim=0.5, truncate=False),
        old_rope=dict(rope_theta=50.0, rope_scaling=dict(
            rope_type="yarn", factor=3.0, original_max_position_embeddings=16, beta_fast=1.5, beta_slow=0.25,
            mscale=2.0, mscale_all_dim=0.5, truncate=False)), embedding_std=0.3),
    Fixture(
        "llama", "longrope", "longrope, session longer than the original length (long factors), sharded",
        llama(40, 4, 2, 38, 87, 2, head_dim=8, max_position_embeddings=64, rms_norm_eps=1e-3,
              tie_word_embeddings=False),
        "float32", LONG, shards=2,
        rope=dict(rope_type="longrope", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16,
                  short_factor=[1.0, 1.1, 1.3, 1.7], long_factor=[1.0, 1.5, 3.0, 4.0])),
    Fixture(
        "llama", "longrope_short", "longrope, session within the original length (short factors), attention_factor set",
        llama(40, 5, 1, 42, 79, 2, max_position_embeddings=128, rms_norm_eps=1e-3, tie_word_embeddings=False),
        "float16", SHORT, style="old",
        rope=dict(rope_type="longrope", rope_theta=300.0, original_max_position_embeddings=32, attention_factor=1.25,
                  short_factor=[1.0, 1.4, 1.9, 2.5], long_factor=[1.0, 3.5, 6.0, 8.0]),
        old_rope=dict(rope_theta=300.0, rope_scaling=dict(
            type="longrope", original_max_position_embeddings=32, attention_factor=1.25,
            short_factor=[1.0, 1.4, 1.9, 2.5], long_factor=[1.0, 3.5, 6.0, 8.0]))),
    Fixture(
        "llama", "llama3", "llama3 rope scaling with all three bands, sharded, list of end tokens, tied head",
        llama(44, 4, 2, 68, 99, 2, head_dim=20, max_position_embeddings=128, rms_norm_eps=1e-3,
              tie_word_embeddings=True),
        "bfloat16", LONG, style="old", shards=2,
        rope=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=32),
        old_rope=dict(rope_theta=500.0, rope_scaling=dict(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32)),
        embedding_std=0.3, extra_config=dict(bos_token_id=1, eos_token_id=[2, 98])),
    Fixture(
        "mistral", "window", "window of 8 on every layer, grouped kv heads, explicit head_dim, sharded",
        llama(40, 4, 2, 54, 97, 2, head_dim=12, sliding_window=8, max_position_embeddings=256, rms_norm_eps=1e-3,
              tie_word_embeddings=False),
        "bfloat16", LONG, shards=2, rope=dict(rope_type="default", rope_theta=10000.0), attentions=True),
    Fixture(
        "mistral", "no_window", "sliding_window null, tied head, old spelling",
        llama(36, 3, 3, 46, 81, 1, sliding_window=None, max_position_embeddings=64, rms_norm_eps=1e-3,
              tie_word_embeddings=True),
        "float16", SHORT, new_tokens=16, style="old", rope=dict(rope_type="default", rope_theta=1000.0),
        old_rope=dict(rope_theta=1000.0), embedding_std=0.3, extra_config=dict(sliding_window=None)),
    Fixture(
        "gpt2", "gelu_new", "transformer. prefix, tied head that is not stored, gelu_new, n_inner set",
        gpt2(40, 5, 70, 103, 2, 64, layer_norm_epsilon=1e-3, activation_function="gelu_new"),
        "float32", SHORT, new_tokens=16, embedding_std=0.3, attentions=True),
    Fixture(
        "gpt2", "prefixless", "no name prefix, stored causal-mask buffers, one layer, head size 20, n_inner absent",
        gpt2(40, 2, None, 89, 1, 27, layer_norm_epsilon=1e-5, activation_function="gelu_new"),
        "float32", SHORT, new_tokens=16, style="old", embedding_std=0.02, prefix="", buffers=True),
    Fixture(
        "gpt2", "relu_unscaled_untied", "relu, untied head, scale_attn_weights false",
        gpt2(48, 6, 90, 107, 2, 64, layer_norm_epsilon=1e-3, activation_function="relu", scale_attn_weights=False,
             tie_word_embeddings=False),
        "float16", LONG),
    Fixture(
        "gpt2", "gelu_inverse_layer", "exact gelu, one head, scale_attn_by_inverse_layer_idx, three layers, sharded",
        gpt2(36, 1, 58, 95, 3, 64, layer_norm_epsilon=1e-3, activation_function="gelu",
             scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True),
        "bfloat16", LONG, shards=2, embedding_std=0.3),
    Fixture(
        "t5", "relu", "plain relu ffn, tied head with scaled logits, three decoder blocks on two, few buckets",
        t5(32, 3, 12, 52, 101, num_layers=2, num_decoder_layers=3, relative_attention_num_buckets=8,
           relative_attention_max_distance=12, layer_norm_epsilon=1e-3, feed_forward_proj="relu"),
        "float32", (9, 1, 23), new_tokens=12, prefix_lengths=(1, 3, 9), embedding_std=0.05, attentions=True),
    Fixture(
        "t5", "gated_gelu", "gated gelu, own head with unscaled logits, default buckets, num_decoder_layers absent",
        t5(40, 2, 20, 46, 93, num_layers=2, layer_norm_epsilon=1e-3, feed_forward_proj="gated-gelu",
           tie_word_embeddings=False),
        "bfloat16", LONG, style="old", prefix_lengths=(2, 1, 21)),
    Fixture(
        "bart", "scaled", "scaled embedding, unequal depths, heads and ffn sizes, gelu, bias of the logits",
        bart(36, (1, 3, 50), (2, 2, 58), 89, 64, scale_embedding=True, activation_function="gelu"),
        "float32", SHORT, prefix_lengths=(1, 2, 4), embedding_std=0.1, attentions=True),
    Fixture(
        "bart", "relu", "relu, three encoder blocks on two, odd head sizes, positions used to the last",
        bart(40, (3, 5, 70), (2, 4, 62), 97, 37, scale_embedding=False, activation_function="relu"),
        "float16", LONG, style="old", prefix_lengths=(3, 1, 2), embedding_std=0.1, store_head=True),
]
