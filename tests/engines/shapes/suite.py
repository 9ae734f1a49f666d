#!/usr/bin/env python3
"""Measures the scorer's share of the arithmetic peak on the shapes of well-known models: suite.py WHITTLE [NAME ...].

Each model has the published sizes of a layer and random weights. It has fewer layers, and a vocabulary that is smaller by
the same factor, so that the products have the same shares of the work. A text is read byte by byte, for the vocabulary
has one merge; what a token costs does not depend on that."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import gguf
import numpy

TOKENS, RUNS = 512, 5
CONTEXT = 2048
BLOCK = 32
# Bytes as the tokenizer of GPT-2 writes them: those that cannot be seen are moved behind the others.
SEEN = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [chr(byte) for byte in SEEN] + [chr(256 + i) for i in range(256 - len(SEEN))]


@dataclass
class Shape:
    """The published sizes of a model."""
    arch: str
    width: int
    hidden: int
    heads: int
    keys: int
    head: int
    layers: int
    vocabulary: int
    tied: bool = True
    # Layers of the model that is measured.
    measured: int = 4

    def rows(self):
        """Rows of the vocabulary that is measured."""
        return max(self.vocabulary * self.measured // self.layers // 64 * 64, 512)


SHAPES = {
    "SmolLM2-135M": Shape("llama", 576, 1536, 9, 3, 64, 30, 49152),
    "Llama-3.2-1B": Shape("llama", 2048, 8192, 32, 8, 64, 16, 128256),
    "Mistral-7B-v0.3": Shape("llama", 4096, 14336, 32, 8, 128, 32, 32768, tied=False, measured=2),
    "Qwen2.5-0.5B": Shape("qwen2", 896, 4864, 14, 2, 64, 24, 151936),
    "Qwen3-0.6B": Shape("qwen3", 1024, 3072, 16, 8, 128, 28, 151936),
    "gemma-2-2b": Shape("gemma2", 2304, 9216, 8, 4, 256, 26, 256000),
    "gemma-3-270m": Shape("gemma3", 640, 2048, 4, 1, 256, 18, 262144, measured=6),
    "gemma-3-1b": Shape("gemma3", 1152, 6912, 4, 1, 256, 26, 262144, measured=6),
    "Phi-3-mini": Shape("phi3", 3072, 8192, 32, 32, 96, 32, 32064, tied=False),
    "granite-3.3-2b": Shape("granite", 2048, 8192, 32, 8, 64, 40, 49159),
    "SmolLM3-3B": Shape("smollm3", 2048, 11008, 16, 4, 128, 36, 128256),
    "OLMo-2-1B": Shape("olmo2", 2048, 8192, 16, 16, 128, 16, 100352, tied=False),
}


def matrices(shape):
    """Rows and columns of the matrices of a layer, by name."""
    queries, keys = shape.heads * shape.head, shape.keys * shape.head
    found = {"attn_output": (shape.width, queries), "ffn_down": (shape.width, shape.hidden)}
    if shape.arch == "phi3":
        return found | {"attn_qkv": (queries + 2 * keys, shape.width), "ffn_up": (2 * shape.hidden, shape.width)}
    return found | {"attn_q": (queries, shape.width), "attn_k": (keys, shape.width), "attn_v": (keys, shape.width),
                    "ffn_gate": (shape.hidden, shape.width), "ffn_up": (shape.hidden, shape.width)}


def norms(shape):
    """Sizes of the norms of a layer, by name."""
    before = {"attn_norm": shape.width, "ffn_norm": shape.width}
    after = {"post_attention_norm": shape.width, "post_ffw_norm": shape.width}
    within = {"attn_q_norm": shape.head, "attn_k_norm": shape.head}
    return {
        "gemma2": before | after,
        "gemma3": before | after | within,
        "qwen3": before | within,
        "olmo2": after | {"attn_q_norm": shape.heads * shape.head, "attn_k_norm": shape.keys * shape.head},
    }.get(shape.arch, before)


def write_metadata(out, shape):
    out.add_context_length(CONTEXT)
    out.add_embedding_length(shape.width)
    out.add_block_count(shape.measured)
    out.add_feed_forward_length(shape.hidden)
    out.add_head_count(shape.heads)
    out.add_head_count_kv(shape.keys)
    out.add_key_length(shape.head)
    out.add_value_length(shape.head)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(shape.rows())
    out.add_rope_dimension_count(shape.head)
    out.add_rope_freq_base(10000.0)
    if shape.arch in ("gemma2", "gemma3"):
        out.add_sliding_window(4096 if shape.arch == "gemma2" else 512)
    if shape.arch == "gemma2":
        out.add_attn_logit_softcapping(50.0)
        out.add_final_logit_softcapping(30.0)
    if shape.arch == "granite":
        out.add_embedding_scale(12.0)
        out.add_residual_scale(0.22)
        out.add_attention_scale(0.015625)
        out.add_logit_scale(8.0)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    # A file must have a merge.
    tokens = [*BYTES, "th"]
    unused = shape.rows() - len(tokens)
    out.add_token_list(tokens + [f"<unused{i}>" for i in range(unused)])
    out.add_token_types([1] * len(tokens) + [5] * unused)
    out.add_token_merges(["t h"])


def random_matrix(random, rows, columns):
    """Blocks of Q8_0: a scale in two bytes, and 32 signed bytes."""
    blocks = numpy.empty((rows, columns // BLOCK, BLOCK + 2), dtype=numpy.uint8)
    blocks[:, :, :2] = numpy.frombuffer(numpy.float16(1 / (73 * columns**0.5)).tobytes(), dtype=numpy.uint8)
    blocks[:, :, 2:] = random.integers(0, 256, (rows, columns // BLOCK, BLOCK), dtype=numpy.uint8)
    return blocks.reshape(rows, -1)


def write_model(path, shape):
    random, out = numpy.random.default_rng(0), gguf.GGUFWriter(path, shape.arch)
    kind = gguf.GGMLQuantizationType.Q8_0
    write_metadata(out, shape)
    out.add_tensor("token_embd.weight", random_matrix(random, shape.rows(), shape.width), raw_dtype=kind)
    if not shape.tied:
        out.add_tensor("output.weight", random_matrix(random, shape.rows(), shape.width), raw_dtype=kind)
    out.add_tensor("output_norm.weight", numpy.ones(shape.width, dtype=numpy.float32))
    for layer in range(shape.measured):
        for name, (rows, columns) in matrices(shape).items():
            out.add_tensor(f"blk.{layer}.{name}.weight", random_matrix(random, rows, columns), raw_dtype=kind)
            if shape.arch == "qwen2" and name in ("attn_q", "attn_k", "attn_v"):
                out.add_tensor(f"blk.{layer}.{name}.bias", numpy.zeros(rows, dtype=numpy.float32))
        for name, size in norms(shape).items():
            out.add_tensor(f"blk.{layer}.{name}.weight", numpy.ones(size, dtype=numpy.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def measure(binary, folder, model, precision):
    """Tokens a second, and their share of the peak."""
    pathlib.Path(folder, "whittle.toml").write_text(f"[scorer]\nmodel = {json.dumps(str(model))}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WHITTLE_")}
    command = [binary, "bench", "score", "--tokens", str(TOKENS), "--runs", str(RUNS), "--precision", precision,
               "--format", "json"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{model}: {ended.stderr}")
    report = json.loads(ended.stdout)
    return report["tokens_per_second"]["median"], report["ratio_to_peak"]


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    print(f"{'shape':16} {'int8':>9} {'of peak':>8} {'f32':>9} {'of peak':>8}   tokens/s of {TOKENS} tokens")
    for name in sys.argv[2:] or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            model, shape = pathlib.Path(folder, f"{name}.gguf"), SHAPES[name]
            write_model(model, shape)
            (int8, int8_share), (f32, f32_share) = (measure(binary, folder, model, p) for p in ("int8", "f32"))
            print(f"{name:16} {int8:9.0f} {int8_share:8.2f} {f32:9.0f} {f32_share:8.2f}   "
                  f"{shape.measured} of {shape.layers} layers, {shape.rows()} of {shape.vocabulary} tokens", flush=True)


main()
