"""Makes families/*.gguf and families/*.json: a tiny random model of each family, and what `transformers` makes of it.

Weights are rounded to f16 first, so that the file and the reference hold the same numbers. Each golden has the token
ids that the reference tokenizer gives, and the negative log-likelihood of every token but the first, computed in f32.

Run it in an environment with torch, transformers, tokenizers, sentencepiece and gguf:
python3 families.py [FAMILY ...]
"""
import io
import json
import math
import re
import sys
from pathlib import Path

import gguf
import numpy
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FOLDER = Path(__file__).parent / "families"
WIDTH, HIDDEN, HEADS, KEYS, LAYERS, CONTEXT = 64, 128, 4, 2, 2, 512
CORPUS = [
    "The bridge was opened in 1987, and both libraries close at six.",
    "It is not open to lorries, which is why the old road along the river was never closed.",
    "def total(items):\n    return sum(item.price for item in items)\n",
    "Der Leuchtturm am Kap wurde 1874 vollendet. Le phare du cap mesure 41 mètres.",
    "the then there their these they that this thing other another mother",
] * 20
TEXTS = {
    "prose": "The lighthouse on the cape wasn't finished before 1874; it's 41 metres high, and there's another.",
    "code": "fn main() {\n\tlet x = [1, 22, 333, 4444];\r\n    println!(\"{x:?}\");  // done\n\n\n}\n",
    "scripts": "Größe, naïve café; маяк 1874 года — 灯塔建成于1874年。 منارة ½ ™ 👩‍👧 e\u0301  end ",
    "control": "<|im_end|> <s>[INST] </s> <bos> \u00a0 \u2581 x\u0000y",
}
PATTERNS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
PATTERNS["stablelm2"] = PATTERNS["qwen2"]
PATTERNS["gpt-4o"] = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS["bloom"] = r" ?[^(\s|.,!?…。，、।۔،)]+"


class Bpe:
    """A byte-level BPE, trained here, with the pre-tokenizer that the file names."""

    def __init__(self, pre):
        self.pre = pre
        self.tokenizer = Tokenizer(models.BPE())
        if pre in PATTERNS:
            first = pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated")
            steps = [first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        elif pre in ("smollm", "refact", "starcoder", "command-r"):
            steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        elif pre == "falcon":
            threes = pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")
            steps = [pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
                     pre_tokenizers.Digits(individual_digits=False), threes]
        else:
            steps = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=382, initial_alphabet=alphabet, show_progress=False)
        self.tokenizer.train_from_iterator(CORPUS, trainer)
        vocabulary = self.tokenizer.get_vocab()
        self.tokens = sorted(vocabulary, key=vocabulary.get) + ["<|im_start|>", "<|im_end|>"]

    def encode(self, text):
        return self.tokenizer.encode(text).ids

    def bos(self):
        return [len(self.tokens) - 2] if self.pre == "llama-bpe" else []

    def write(self, out):
        merges = json.loads(self.tokenizer.to_str())["model"]["merges"]
        out.add_tokenizer_model("gpt2")
        out.add_tokenizer_pre(self.pre)
        out.add_token_list(self.tokens)
        out.add_token_types([1] * (len(self.tokens) - 2) + [3, 3])
        out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
        out.add_bos_token_id(len(self.tokens) - 2)
        out.add_eos_token_id(len(self.tokens) - 1)


class SentencePiece:
    """A SentencePiece BPE with byte fallback, trained here."""

    def __init__(self, prefix):
        import sentencepiece

        self.prefix, model = prefix, io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=model, model_type="bpe", vocab_size=384, byte_fallback=True,
            add_dummy_prefix=prefix, normalization_rule_name="identity", remove_extra_whitespaces=False,
            split_digits=True, minloglevel=2,
        )
        self.model = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        self.tokens = [self.model.id_to_piece(i) for i in range(self.model.get_piece_size())]

    def encode(self, text):
        return self.model.encode(text)

    def bos(self):
        return [self.model.bos_id()]

    def write(self, out):
        pieces = range(len(self.tokens))
        kind = lambda i: 2 if self.model.is_unknown(i) else 3 if self.model.is_control(i) else 6 if self.model.is_byte(i) else 1
        out.add_tokenizer_model("llama")
        out.add_tokenizer_pre("default")
        out.add_token_list(self.tokens)
        out.add_token_scores([self.model.get_score(i) for i in pieces])
        out.add_token_types([kind(i) for i in pieces])
        out.add_bos_token_id(self.model.bos_id())
        out.add_eos_token_id(self.model.eos_id())
        out.add_add_space_prefix(self.prefix)


COMMON = dict(
    vocab_size=384, hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
    num_key_value_heads=KEYS, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, attn_implementation="eager",
    bos_token_id=1, eos_token_id=2, pad_token_id=None,
)


def scaled(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


def longrope(head, original):
    """Factors for short and long texts, and what else the configuration has to say of them."""
    factors = lambda step: [round(1 + step * i, 3) for i in range(head // 2)]
    scaling = scaled("longrope", short_factor=factors(0.05), long_factor=factors(0.6), original_max_position_embeddings=original)
    return {"original_max_position_embeddings": original, **scaling}


EXPERTS = dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=64)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
# Architecture in the file, class, tokenizer, and what the configuration has beyond COMMON.
FAMILIES = {
    "llama3": ("llama", "Llama", lambda: Bpe("llama-bpe"), dict(tie_word_embeddings=True, **scaled("llama3", **LLAMA3))),
    "linear": ("llama", "Llama", lambda: Bpe("gpt-2"), dict(tie_word_embeddings=False, **scaled("linear", factor=4.0))),
    "yarn": ("llama", "Llama", lambda: Bpe("gpt-2"), dict(tie_word_embeddings=False, **scaled("yarn", factor=8.0, original_max_position_embeddings=64))),
    "llama2": ("llama", "Llama", lambda: SentencePiece(True), dict(tie_word_embeddings=False, **scaled("default"))),
    "mistral": ("llama", "Mistral", lambda: SentencePiece(True), dict(head_dim=32, sliding_window=None, tie_word_embeddings=False, **scaled("default"))),
    "qwen2": ("qwen2", "Qwen2", lambda: Bpe("qwen2"), dict(tie_word_embeddings=True, **scaled("default"))),
    "qwen3": ("qwen3", "Qwen3", lambda: Bpe("qwen2"), dict(head_dim=32, tie_word_embeddings=True, **scaled("default"))),
    "granite": ("granite", "Granite", lambda: Bpe("refact"), dict(embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.0625, logits_scaling=0.5, tie_word_embeddings=True, **scaled("default"))),
    "olmo2": ("olmo2", "Olmo2", lambda: Bpe("gpt-2"), dict(tie_word_embeddings=False, **scaled("default"))),
    "smollm3": ("smollm3", "SmolLM3", lambda: Bpe("llama-bpe"), dict(num_hidden_layers=4, no_rope_layer_interval=4, tie_word_embeddings=True, **scaled("default"))),
    "phi3": ("phi3", "Phi3", lambda: SentencePiece(True), dict(sliding_window=24, tie_word_embeddings=False, **scaled("default"))),
    # What the scorer sees by default is not longer than the short texts of the first, and longer than those of the second.
    "longrope": ("phi3", "Phi3", lambda: SentencePiece(True), dict(max_position_embeddings=8192, sliding_window=None, tie_word_embeddings=False, **longrope(16, 2048))),
    "longrope_long": ("phi3", "Phi3", lambda: SentencePiece(True), dict(partial_rotary_factor=0.75, sliding_window=None, tie_word_embeddings=False, **longrope(12, 32))),
    "gemma": ("gemma", "Gemma", lambda: SentencePiece(False), dict(head_dim=32, tie_word_embeddings=True, **scaled("default"))),
    "gemma2": ("gemma2", "Gemma2", lambda: SentencePiece(False), dict(head_dim=32, sliding_window=24, query_pre_attn_scalar=32, attn_logit_softcapping=5.0, final_logit_softcapping=8.0, tie_word_embeddings=True, **scaled("default"))),
    "gemma3": ("gemma3", "Gemma3", lambda: SentencePiece(False), dict(num_hidden_layers=7, head_dim=32, sliding_window=24, query_pre_attn_scalar=32, tie_word_embeddings=True,
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
    "stablelm": ("stablelm", "StableLm", lambda: Bpe("stablelm2"), dict(use_qkv_bias=True, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.25))),
    "stablelm_parallel": ("stablelm", "StableLm", lambda: Bpe("stablelm2"), dict(use_parallel_residual=True, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.5))),
    "starcoder2": ("starcoder2", "Starcoder2", lambda: Bpe("starcoder"), dict(use_bias=True, sliding_window=None, tie_word_embeddings=True, **scaled("default"))),
    "phi2": ("phi2", "Phi", lambda: Bpe("phi-2"), dict(num_key_value_heads=HEADS, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.5))),
    "nemotron": ("nemotron", "Nemotron", lambda: SentencePiece(True), dict(head_dim=16, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.5))),
    "command_r": ("command-r", "Cohere", lambda: Bpe("command-r"), dict(logit_scale=0.5, tie_word_embeddings=True, **scaled("default"))),
    "mixtral": ("llama", "Mixtral", lambda: SentencePiece(True), dict(intermediate_size=64, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=None, tie_word_embeddings=False, **scaled("default"))),
    "qwen2moe": ("qwen2moe", "Qwen2Moe", lambda: Bpe("qwen2"), dict(shared_expert_intermediate_size=128, norm_topk_prob=False, tie_word_embeddings=False, **EXPERTS, **scaled("default"))),
    "qwen3moe": ("qwen3moe", "Qwen3Moe", lambda: Bpe("qwen2"), dict(head_dim=32, norm_topk_prob=True, tie_word_embeddings=True, **EXPERTS, **scaled("default"))),
    "olmoe": ("olmoe", "Olmoe", lambda: Bpe("olmo"), dict(num_key_value_heads=HEADS, intermediate_size=64, num_experts=4, num_experts_per_tok=3, norm_topk_prob=False, tie_word_embeddings=False, **scaled("default"))),
    "granitemoe": ("granitemoe", "GraniteMoe", lambda: Bpe("refact"), dict(intermediate_size=64, num_local_experts=4, num_experts_per_tok=2, embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.0625, logits_scaling=0.5, tie_word_embeddings=True, **scaled("default"))),
    "gpt_oss": ("gpt-oss", "GptOss", lambda: Bpe("gpt-4o"), dict(head_dim=32, intermediate_size=64, num_local_experts=4, num_experts_per_tok=2, sliding_window=24, tie_word_embeddings=False, **scaled("yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=64))),
    # Six heads have slopes beyond those of a power of two.
    "bloom": ("bloom", "Bloom", lambda: Bpe("bloom"), dict(hidden_size=192, n_layer=1, n_head=6, tie_word_embeddings=True)),
    "mpt": ("mpt", "Mpt", lambda: Bpe("mpt"), dict(d_model=WIDTH, n_heads=HEADS, n_layers=LAYERS, max_seq_len=CONTEXT, tie_word_embeddings=True)),
    "falcon": ("falcon", "Falcon", lambda: Bpe("falcon"), dict(multi_query=True, new_decoder_architecture=False, parallel_attn=True, bias=False, alibi=False, tie_word_embeddings=True, **scaled("default"))),
    "falcon_norms": ("falcon", "Falcon", lambda: Bpe("falcon"), dict(num_kv_heads=KEYS, new_decoder_architecture=True, num_ln_in_parallel_attn=2, bias=False, alibi=False, tie_word_embeddings=False, **scaled("default"))),
    "gptneox": ("gptneox", "GPTNeoX", lambda: Bpe("olmo"), dict(use_parallel_residual=True, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.25))),
    "gptneox_sequential": ("gptneox", "GPTNeoX", lambda: Bpe("olmo"), dict(use_parallel_residual=False, tie_word_embeddings=False, **scaled("default", partial_rotary_factor=0.5))),
    "bitnet": ("bitnet", "BitNet", lambda: SentencePiece(True), dict(hidden_act="silu", tie_word_embeddings=True, **scaled("default"))),
    "cohere2": ("cohere2", "Cohere2", lambda: Bpe("command-r"), dict(num_hidden_layers=4, sliding_window=24, logit_scale=0.5, tie_word_embeddings=True, **scaled("default"))),
}
CLASSES = {"Gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM")}
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "self_attn.dense": "attn_output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attention.query_key_value": "attn_qkv",
    "attention.query_key_value": "attn_qkv", "attn.Wqkv": "attn_qkv", "self_attention.dense": "attn_output",
    "attention.dense": "attn_output", "attn.out_proj": "attn_output", "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down", "ffn.up_proj": "ffn_up", "ffn.down_proj": "ffn_down", "norm_1": "attn_norm",
    "norm_2": "ffn_norm", "ln_mlp": "attn_norm", "ln_attn": "attn_norm_2", "self_attn.attn_sub_norm": "attn_sub_norm",
    "mlp.ffn_sub_norm": "ffn_sub_norm", "mlp.router": "ffn_gate_inp", "mlp.gate": "ffn_gate_inp", "block_sparse_moe.router": "ffn_gate_inp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp", "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
}
WHOLE = {
    "embed_tokens": "token_embd", "lm_head": "output", "norm": "output_norm", "final_layernorm": "output_norm",
    "word_embeddings": "token_embd", "word_embeddings_layernorm": "token_embd_norm", "ln_f": "output_norm",
    "embed_in": "token_embd", "embed_out": "output", "final_layer_norm": "output_norm", "wte": "token_embd",
    "norm_f": "output_norm",
}
# Classes whose norms have weights that one is added to; the file has the sums.
FROM_ONE = ("Gemma", "Gemma2", "Gemma3", "Nemotron")
# Families that norm what a part gives.
AFTER = {"post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
         "pre_feedforward_layernorm": "ffn_norm"}


def build(kind, extra):
    config_name, model_name = CLASSES.get(kind, (f"{kind}Config", f"{kind}ForCausalLM"))
    config = getattr(transformers, config_name)(**{**COMMON, **extra})
    torch.manual_seed(len(kind))
    model = getattr(transformers, model_name)(config).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() >= 2:
                # A router that decides clearly goes by the same experts when its inputs are rounded.
                spread = 8.0 if re.search(r"mlp\.gate\.|router", name) else 1.4
                weight.normal_(0, (0.3 if "embed" in name or "wte" in name else spread / math.sqrt(weight.shape[-1])))
                if kind == "BitNet" and "_proj" in name:
                    # One of three values.
                    weight.copy_(weight.abs().mean() * (weight / weight.abs().mean()).round().clamp(-1, 1))
            elif re.search(r"norm|ln_", name) and name.endswith("weight"):
                weight.normal_(0.0 if kind in FROM_ONE else 1.0, 0.2)
            else:
                weight.normal_(0, 0.3)
            if kind == "GptOss" and weight.dim() == 3:
                weight.copy_(mxfp4(weight))
            elif weight.dim() >= 2 and not (kind == "BitNet" and "_proj" in name):
                weight.copy_(weight.half().float())
    return config, model


def file_name(name, norms_after):
    name, part = re.sub(r"^(model|transformer|gpt_neox)\.", "", name).rsplit(".", 1)
    if name in WHOLE:
        return f"{WHOLE[name]}.{part}"
    _, layer, inner = name.split(".", 2)
    table = {**NAMES, **AFTER} if norms_after else NAMES
    return f"blk.{layer}.{table[inner]}.{part}"


def mxfp4(weight):
    """What is left of weights, whose inputs come first, in the format of 4 bits."""
    kind = gguf.GGMLQuantizationType.MXFP4
    rows = weight.numpy().swapaxes(1, 2)
    rows = gguf.quants.dequantize(gguf.quants.quantize(numpy.ascontiguousarray(rows), kind), kind)
    return torch.tensor(rows.swapaxes(1, 2).copy())


def gpt_oss_experts(name, weight):
    """The tensors of a file for all experts of a layer, whose gates and ups take turns in the reference."""
    layer, part, bias = re.search(r"layers\.(\d+)\.mlp\.experts\.(\w+?)_proj(_bias)?$", name).groups()
    weight = weight if bias else weight.swapaxes(1, 2)
    end = "bias" if bias else "weight"
    if part == "down":
        return {f"blk.{layer}.ffn_down_exps.{end}": weight}
    return {f"blk.{layer}.ffn_gate_exps.{end}": weight[:, ::2], f"blk.{layer}.ffn_up_exps.{end}": weight[:, 1::2]}


def experts(name, weight):
    """The tensors of a file for all experts of a layer; none where the weights are others."""
    part = re.search(r"experts\.(gate_up|down)_proj$|\.(input|output)_linear\.weight$", name)
    if not part:
        return None
    layer = re.search(r"layers\.(\d+)\.", name)[1]
    if "down" in part[0] or "output" in part[0]:
        return {f"blk.{layer}.ffn_down_exps.weight": weight}
    gate, up = numpy.split(weight, 2, axis=1)
    return {f"blk.{layer}.ffn_gate_exps.weight": gate, f"blk.{layer}.ffn_up_exps.weight": up}


def parted(weight, groups, head):
    """Lays out queries, keys and values of all groups behind each other; the reference has them group by group."""
    groups = weight.reshape(groups, -1, head, *weight.shape[1:])
    parts = groups[:, :-2], groups[:, -2:-1], groups[:, -1:]
    return numpy.concatenate([part.reshape(-1, *weight.shape[1:]) for part in parts])


def neighbours(weight, heads):
    """Lays the two halves of each head's rows out in turns, as the format has them for families that pair neighbours."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def write_sizes(out, arch, config):
    width, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or width // heads
    out.add_context_length(CONTEXT if arch in ("bloom", "mpt") else config.max_position_embeddings)
    out.add_embedding_length(width)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(4 * width if arch in ("bloom", "mpt", "falcon") else config.intermediate_size)
    out.add_head_count(heads)
    out.add_head_count_kv(key_heads(arch, config))
    epsilon = [getattr(config, name, None) for name in ("layer_norm_eps", "norm_epsilon", "norm_eps", "layer_norm_epsilon")]
    if any(epsilon):
        out.add_layer_norm_eps(next(filter(None, epsilon)))
    else:
        out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    out.add_key_length(head)
    out.add_value_length(head)
    write_experts(out, arch, config)
    if arch == "gptneox":
        out.add_parallel_residual(config.use_parallel_residual)
    if arch == "mpt":
        out.add_max_alibi_bias(config.attn_config.alibi_bias_max)
    if arch not in ("bloom", "mpt"):
        write_rotation(out, head, config)
    if getattr(config, "sliding_window", None):
        out.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        out.add_attn_logit_softcapping(config.attn_logit_softcapping)
        out.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch in ("granite", "granitemoe"):
        out.add_embedding_scale(config.embedding_multiplier)
        out.add_residual_scale(config.residual_multiplier)
        out.add_attention_scale(config.attention_multiplier)
        out.add_logit_scale(config.logits_scaling)
    if arch in ("command-r", "cohere2"):
        out.add_logit_scale(config.logit_scale)


def key_heads(arch, config):
    if arch in ("bloom", "mpt", "gptneox"):
        return config.num_attention_heads
    if arch == "falcon":
        return config.num_kv_heads if config.new_decoder_architecture else 1
    return config.num_key_value_heads


def write_experts(out, arch, config):
    if arch not in ("llama", "gpt-oss", "granitemoe", "qwen2moe", "qwen3moe", "olmoe") or not hasattr(config, "num_experts_per_tok"):
        return
    out.add_expert_count(getattr(config, "num_local_experts", None) or config.num_experts)
    out.add_expert_used_count(config.num_experts_per_tok)
    if arch == "gpt-oss":
        out.add_expert_feed_forward_length(config.intermediate_size)
    if arch in ("qwen2moe", "qwen3moe"):
        out.add_expert_feed_forward_length(config.moe_intermediate_size)
    if arch == "qwen2moe":
        out.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def write_rotation(out, head, config):
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    rotated = int(head * rope.get("partial_rotary_factor", 1.0))
    out.add_rope_dimension_count(rotated)
    out.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        out.add_tensor("rope_freqs.weight", llama3_factors(head, rope))
    if rope["rope_type"] == "yarn":
        out.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        out.add_rope_scaling_factor(rope["factor"])
        out.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        original = rope["original_max_position_embeddings"]
        scale = config.max_position_embeddings / original
        out.add_rope_scaling_orig_ctx_len(original)
        out.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        for length in ("long", "short"):
            factors = numpy.array(rope[f"{length}_factor"], dtype=numpy.float32)
            out.add_tensor(f"rope_factors_{length}.weight", factors)


def llama3_factors(head, rope):
    factors = []
    for i in range(head // 2):
        length = 2 * math.pi * rope["rope_theta"] ** (2 * i / head)
        turns = rope["original_max_position_embeddings"] / length
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = min(max((turns - low) / (high - low), 0), 1)
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.array(factors, dtype=numpy.float32)


def tensors(arch, kind, config, name, weight):
    """The tensors of the file for one of the reference."""
    if kind == "GptOss" and "experts." in name:
        return gpt_oss_experts(name, weight)
    if found := experts(name, weight):
        return found
    if name.endswith("self_attn.sinks"):
        return {f"blk.{name.split('.')[2]}.attn_sinks.weight": weight}
    target = file_name(name, arch in ("gemma2", "gemma3", "olmo2"))
    if arch == "gpt-oss":
        target = target.replace("ffn_norm", "post_attention_norm")
    heads = config.num_attention_heads
    if arch in ("llama", "granite", "granitemoe", "smollm3") and (".attn_q." in target or ".attn_k." in target):
        weight = neighbours(weight, HEADS if ".attn_q." in target else KEYS)
    if ".attn_qkv." in target and arch in ("bloom", "gptneox", "falcon"):
        weight = parted(weight, key_heads(arch, config), config.hidden_size // heads)
    if kind in FROM_ONE and "norm" in target and target.endswith("weight"):
        weight = weight + 1
    if target.endswith("ffn_gate_inp_shexp.weight"):
        weight = weight[0]
    if kind == "BitNet" and weight.ndim == 2 and target.startswith("blk."):
        largest = abs(weight).max()
        return {target: weight / largest, target.replace(".weight", ".scale"): largest.reshape(1)}
    return {target: weight}


def write(path, arch, kind, config, model, tokenizer):
    out = gguf.GGUFWriter(path, arch)
    tokenizer.write(out)
    write_sizes(out, arch, config)
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if tied and name in ("lm_head.weight", "embed_out.weight"):
            continue
        for target, weight in tensors(arch, kind, config, name, weight.numpy()).items():
            if kind == "GptOss" and weight.ndim == 3:
                four_bits = gguf.GGMLQuantizationType.MXFP4
                out.add_tensor(target, gguf.quants.quantize(numpy.ascontiguousarray(weight), four_bits), raw_dtype=four_bits)
            else:
                half = weight.ndim >= 2 and not target.endswith("bias")
                out.add_tensor(target, weight.astype(numpy.float16 if half else numpy.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def nll(model, bos, ids):
    """The scores of all tokens but the first, with the token before them that a file of this kind asks for."""
    known = bos + ids
    with torch.no_grad():
        logits = model(torch.tensor([known])).logits[0].float()
    losses = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(known[1:]), reduction="none")
    return [round(float(loss), 5) for loss in losses][len(bos):]


def main():
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FAMILIES:
        arch, kind, tokenizer, extra = FAMILIES[name]
        tokenizer = tokenizer()
        config, model = build(kind, extra)
        write(FOLDER / f"{name}.gguf", arch, kind, config, model, tokenizer)
        goldens = []
        for title, text in TEXTS.items():
            ids = tokenizer.encode(text)
            goldens.append({"name": title, "text": text, "ids": ids, "nll": nll(model, tokenizer.bos(), ids)})
        lines = ",\n".join(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) for golden in goldens)
        (FOLDER / f"{name}.json").write_text(f"[{lines}]\n")
        print(name, sum(len(g["ids"]) for g in goldens), "tokens, mean", numpy.mean([n for g in goldens for n in g["nll"]]))


if __name__ == "__main__":
    main()
