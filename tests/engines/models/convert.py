#!/usr/bin/env python3
"""Writes an encoder of BERT's kind as GGUF in f32: convert.py FOLDER TARGET.

FOLDER has config.json, tokenizer.json and model.safetensors. Both formats are a header and rows of numbers, so that
Python alone is enough.
"""
import json
import pathlib
import struct
import sys

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, CONTROL = 1, 3
MEAN_POOLING = 1
CONTROL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# What the tensors of an encoder are called here and there.
OUTSIDE = {
    "token_embd.weight": "embeddings.word_embeddings.weight",
    "token_types.weight": "embeddings.token_type_embeddings.weight",
    "position_embd.weight": "embeddings.position_embeddings.weight",
    "token_embd_norm.weight": "embeddings.LayerNorm.weight",
    "token_embd_norm.bias": "embeddings.LayerNorm.bias",
}
LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    """A key with its value; an array is a pair of the kind of its values and the list."""
    if kind == STRING:
        data = text(value)
    elif kind == ARRAY:
        of, values = value
        one = text if of == STRING else lambda value: struct.pack("<i", value)
        data = struct.pack("<IQ", of, len(values)) + b"".join(map(one, values))
    else:
        data = struct.pack({UINT32: "<I", FLOAT32: "<f", BOOL: "<?"}[kind], value)
    return text(key) + struct.pack("<I", kind) + data


def piece(token):
    """A token of WordPiece as the format spells it: words begin with a mark, their further parts do not."""
    if token in CONTROL_TOKENS or (token.startswith("[unused") and token.endswith("]")):
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def metadata(config, tokens):
    ids = {token: place for place, token in enumerate(tokens)}
    bert = [
        ("context_length", UINT32, config["max_position_embeddings"]),
        ("embedding_length", UINT32, config["hidden_size"]),
        ("feed_forward_length", UINT32, config["intermediate_size"]),
        ("block_count", UINT32, config["num_hidden_layers"]),
        ("attention.head_count", UINT32, config["num_attention_heads"]),
        ("attention.layer_norm_epsilon", FLOAT32, config["layer_norm_eps"]),
        ("attention.causal", BOOL, False),
        ("pooling_type", UINT32, MEAN_POOLING),
    ]
    kinds = [CONTROL if token in CONTROL_TOKENS else NORMAL for token in tokens]
    tokenizer = [
        ("model", STRING, "bert"),
        ("pre", STRING, "default"),
        ("tokens", ARRAY, (STRING, [piece(token) for token in tokens])),
        ("token_type", ARRAY, (INT32, kinds)),
        ("token_type_count", UINT32, config["type_vocab_size"]),
        ("bos_token_id", UINT32, ids["[CLS]"]),
        ("eos_token_id", UINT32, ids["[SEP]"]),
        ("unknown_token_id", UINT32, ids["[UNK]"]),
        # The format spells it so.
        ("seperator_token_id", UINT32, ids["[SEP]"]),
        ("padding_token_id", UINT32, ids["[PAD]"]),
        ("cls_token_id", UINT32, ids["[CLS]"]),
        ("mask_token_id", UINT32, ids["[MASK]"]),
    ]
    return [
        pair("general.architecture", STRING, "bert"),
        pair("general.alignment", UINT32, ALIGNMENT),
        *(pair("bert." + key, *value) for key, *value in bert),
        *(pair("tokenizer.ggml." + key, *value) for key, *value in tokenizer),
    ]


def tensors(folder, layers):
    """Names, shapes and bytes of the tensors, in f32."""
    data = (folder / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    names = dict(OUTSIDE)
    for layer in range(layers):
        for ours, theirs in LAYER.items():
            for part in ("weight", "bias"):
                names[f"blk.{layer}.{ours}.{part}"] = f"encoder.layer.{layer}.{theirs}.{part}"
    prefix = "" if OUTSIDE["token_embd.weight"] in header else "bert."
    for name, source in names.items():
        found = header[prefix + source]
        if found["dtype"] != "F32":
            raise SystemExit(f"{source} is {found['dtype']}, and this converts F32 alone")
        begin, end = found["data_offsets"]
        yield name, found["shape"], data[8 + size + begin : 8 + size + end]


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def main():
    folder, target = map(pathlib.Path, sys.argv[1:])
    config = json.loads((folder / "config.json").read_text())
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    pairs = metadata(config, sorted(vocabulary, key=vocabulary.get))
    described, parts, offset = [], [], 0
    for name, shape, data in tensors(folder, config["num_hidden_layers"]):
        sizes = b"".join(struct.pack("<Q", size) for size in reversed(shape))
        # The number behind the sizes is that of f32.
        described.append(text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", 0, offset))
        parts.append(padded(data))
        offset += len(parts[-1])
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(described), len(pairs)) + b"".join(pairs) + b"".join(described)
    target.write_bytes(padded(head) + b"".join(parts))


main()
