"""Makes families/*.gguf and families/*.json: a tiny random model of each family, and what `transformers` makes of it.

Weights are rounded to f16 first, so that the file and the reference hold the same numbers. Each golden has the token
ids that the reference tokenizer gives, and the negative log-likelihood of every token but the first, computed in f32.

Run it in an environment with torch, transformers, tokenizers, sentencepiece and gguf:
python3 families.py [FAMILY ...]
"""
import io
import json
import math
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
    "cohere2": ("cohere2", "Cohere2", lambda: Bpe("command-r"), dict(num_hidden_layers=4, sliding_window=24, logit_scale=0.5, tie_word_embeddings=True, **scaled("default"))),
}
CLASSES = {"Gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM")}
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "self_attn.dense": "attn_output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
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
            if weight.dim() == 2:
                weight.normal_(0, (0.3 if "embed" in name else 1.4 / math.sqrt(weight.shape[1])))
            elif "norm" in name and name.endswith("weight"):
                weight.normal_(0.0 if kind in FROM_ONE else 1.0, 0.2)
            else:
                weight.normal_(0, 0.3)
            if weight.dim() == 2:
                weight.copy_(weight.half().float())
    return config, model


def file_name(name, norms_after):
    name, part = name.removeprefix("model.").rsplit(".", 1)
    whole = {"embed_tokens": "token_embd", "lm_head": "output", "norm": "output_norm", "final_layernorm": "output_norm"}.get(name)
    if whole:
        return f"{whole}.{part}"
    _, layer, inner = name.split(".", 2)
    table = {**NAMES, **AFTER} if norms_after else NAMES
    return f"blk.{layer}.{table[inner]}.{part}"


def neighbours(weight, heads):
    """Lays the two halves of each head's rows out in turns, as the format has them for families that pair neighbours."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def write_sizes(out, arch, config):
    head = getattr(config, "head_dim", None) or WIDTH // HEADS
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(WIDTH)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(HIDDEN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(config.num_key_value_heads)
    epsilon = [getattr(config, name, None) for name in ("layer_norm_eps", "norm_epsilon", "norm_eps")]
    if any(epsilon):
        out.add_layer_norm_eps(next(filter(None, epsilon)))
    else:
        out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    out.add_key_length(head)
    out.add_value_length(head)
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
    if getattr(config, "sliding_window", None):
        out.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        out.add_attn_logit_softcapping(config.attn_logit_softcapping)
        out.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "granite":
        out.add_embedding_scale(config.embedding_multiplier)
        out.add_residual_scale(config.residual_multiplier)
        out.add_attention_scale(config.attention_multiplier)
        out.add_logit_scale(config.logits_scaling)
    if arch in ("command-r", "cohere2"):
        out.add_logit_scale(config.logit_scale)


def llama3_factors(head, rope):
    factors = []
    for i in range(head // 2):
        length = 2 * math.pi * rope["rope_theta"] ** (2 * i / head)
        turns = rope["original_max_position_embeddings"] / length
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        smooth = min(max((turns - low) / (high - low), 0), 1)
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.array(factors, dtype=numpy.float32)


def write(path, arch, kind, config, model, tokenizer):
    out = gguf.GGUFWriter(path, arch)
    tokenizer.write(out)
    write_sizes(out, arch, config)
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        weight, target = weight.numpy(), file_name(name, arch in ("gemma2", "gemma3", "olmo2"))
        if arch in ("llama", "granite", "smollm3") and (".attn_q." in target or ".attn_k." in target):
            weight = neighbours(weight, HEADS if ".attn_q." in target else KEYS)
        if kind in FROM_ONE and "norm" in target and target.endswith("weight"):
            weight = weight + 1
        out.add_tensor(target, weight.astype(numpy.float16 if weight.ndim == 2 else numpy.float32))
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
