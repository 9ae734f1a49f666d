"""Makes encoders/embed-*: tiny random embedders, and what sentence-transformers makes of them.

Weights are rounded to f16 first, so that the file and the reference hold the same numbers. Each golden has the token ids
of a text by the reference tokenizer and its vector in f32, cut off after so many tokens as the model's files say; and the
first values of the vector at length 1, as `truncate_dim` gives them. The files beside the encoder's are those that
sentence-transformers writes; `embed-xlm-roberta` has them in the form of versions before 6.

`embed-nomic` has the names of tensors and the `config.json` of the published models, which transformers renames when it
reads them.

`embed-qwen3` is a decoder in GGUF with the tokenizer of `families.py`. Its golden has the row of the last token, which
closes the text, behind the last norm, at length 1, by transformers.

Run it in an environment with torch, transformers, sentence-transformers, sentencepiece, protobuf and gguf:
python3 embedders.py [NAME ...]
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as models

import families
from encoders import CORPUS, FOLDER, HEADS, HIDDEN, PAIRS, SPECIAL, WIDTH, config_of, randomize, tokenizer_of

CUT = 24
TEXTS = [text for pair in PAIRS for text in pair] + [CORPUS[1] * 12]
BESIDE = ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json"]


def nomic(vocabulary):
    return transformers.NomicBertConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS,
        intermediate_size=HIDDEN, hidden_act="silu", max_position_embeddings=512, type_vocab_size=2, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )


def published(config, tensors):
    """The configuration and the tensors of NomicBERT as they are published."""
    names = {
        "embeddings.LayerNorm.": "emb_ln.", "layers.": "encoder.layers.", "self_attn.o_proj": "attn.out_proj",
        "up_proj": "fc11", "gate_proj": "fc12", "down_proj": "fc2", "post_attention_layernorm": "norm1",
        "post_mlp_layernorm": "norm2",
    }
    renamed = {}
    for name, value in tensors.items():
        for own, other in names.items():
            name = name.replace(own, other)
        renamed[name] = value
    for layer in range(config.num_hidden_layers):
        start = f"encoder.layers.{layer}."
        qkv = [renamed.pop(f"{start}self_attn.{part}_proj.weight") for part in "qkv"]
        renamed[f"{start}attn.Wqkv.weight"] = torch.cat(qkv).contiguous()
    settings = {
        "activation_function": "swiglu", "architectures": ["NomicBertModel"], "causal": False,
        "layer_norm_epsilon": config.layer_norm_eps, "max_trained_positions": 512, "mlp_fc1_bias": False,
        "mlp_fc2_bias": False, "model_type": "nomic_bert", "n_embd": WIDTH, "n_head": HEADS, "n_inner": HIDDEN,
        "n_layer": config.num_hidden_layers, "n_positions": 2048, "pad_vocab_size_multiple": 1, "prenorm": False,
        "parallel_block": False, "qkv_proj_bias": False, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
        "type_vocab_size": 2, "use_rms_norm": False, "vocab_size": config.vocab_size,
    }
    return settings, renamed


def golden(name, kind, pooling, prompts):
    torch.manual_seed(sum(name.encode()))
    tokens = "bert" if kind == "nomic" else kind
    tokenizer = tokenizer_of(tokens, name)
    vocabulary = tokenizer.get_vocab_size()
    config = nomic(vocabulary) if kind == "nomic" else config_of(kind, name, vocabulary)
    model = transformers.AutoModel.from_config(config).float().eval()
    randomize(model)
    special = SPECIAL[tokens]
    padding = special[0] if special[0] == "[PAD]" else special[1]
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=padding)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        fast.save_pretrained(folder)
        parts = [models.Transformer(folder, max_seq_length=128), models.Pooling(WIDTH, pooling_mode=pooling)]
        reference = SentenceTransformer(modules=[*parts, models.Normalize()], prompts=prompts, device="cpu")
        pairs = []
        for i, text in enumerate(TEXTS):
            use = "query" if i % 2 == 0 else "document"
            prompt = prompts.get(use, "")
            vector = reference.encode(text, prompt=prompt)
            cut = reference.encode(text, prompt=prompt, truncate_dim=CUT, normalize_embeddings=True)
            ids = fast(prompt + text, truncation=True, max_length=128)["input_ids"]
            values = [[round(float(value), 7) for value in values] for values in (vector, cut)]
            given = {"text": text, "query": use == "query", "prompt": prompt, "ids": ids}
            pairs.append(given | {"embedding": values[0], "cut": values[1]})
        saved = Path(folder) / "saved"
        reference.save(str(saved))
        target = FOLDER / name
        (target / "1_Pooling").mkdir(parents=True, exist_ok=True)
        for file in BESIDE:
            if (saved / file).exists():
                shutil.copyfile(saved / file, target / file)
    if name == "embed-xlm-roberta":
        write = lambda file, content: (target / file).write_text(json.dumps(content, indent=1) + "\n")
        modes = {"cls_token": True, "mean_tokens": False, "max_tokens": False, "lasttoken": False}
        modes = {f"pooling_mode_{mode}": chosen for mode, chosen in modes.items()}
        write("1_Pooling/config.json", {"word_embedding_dimension": WIDTH, **modes, "include_prompt": True})
        write("sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": False})
    tensors = {key: value.half().contiguous() for key, value in model.state_dict().items() if value.is_floating_point()}
    config.architectures = [type(model).__name__]
    settings = json.loads(config.to_json_string(use_diff=False))
    if kind == "nomic":
        settings, tensors = published(config, tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (target / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    (target / "golden.json").write_text(f"[{lines}]\n")
    print(name, sorted(tensors)[:3], [len(pair["ids"]) for pair in pairs])


class Closed(families.Bpe):
    """A tokenizer whose file has texts closed and pooled by the token that closes them."""

    def write(self, out):
        super().write(out)
        out.add_add_eos_token(True)
        out.add_pooling_type(gguf.PoolingType.LAST)


def decoder(name):
    arch, kind, _, extra = families.FAMILIES["qwen3"]
    tokenizer = Closed("qwen2")
    config, model = families.build(kind, extra)
    target = FOLDER / name
    target.mkdir(parents=True, exist_ok=True)
    families.write(target / "model.gguf", arch, kind, config, model, tokenizer)
    pairs = []
    for i, text in enumerate(TEXTS[:-1] + [CORPUS[1] * 3]):
        prompt = "Instruct: find\nQuery:" if i % 2 == 0 else ""
        ids = tokenizer.encode(prompt + text) + [len(tokenizer.tokens) - 1]
        with torch.no_grad():
            row = model.model(torch.tensor([ids])).last_hidden_state[0, -1].float()
        unit = lambda row: [round(float(value), 7) for value in row / row.norm()]
        given = {"text": text, "query": i % 2 == 0, "prompt": prompt, "ids": ids}
        pairs.append(given | {"embedding": unit(row), "cut": unit(row[:CUT])})
    lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    (target / "golden.json").write_text(f"[{lines}]\n")
    print(name, [len(pair["ids"]) for pair in pairs])


MODELS = {
    "embed-nomic": ("nomic", "mean", {}),
    "embed-xlm-roberta": ("xlm-roberta", "cls", {"query": "query: ", "document": "passage: "}),
    "embed-modernbert": ("modernbert", "lasttoken", {}),
    "embed-deberta": ("deberta", "mean", {"query": "search: "}),
}
if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*MODELS, "embed-qwen3"]:
        if wanted == "embed-qwen3":
            decoder(wanted)
        else:
            golden(wanted, *MODELS[wanted])
