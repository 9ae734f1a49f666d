"""Makes encoders/*: tiny random rerankers and pruners of each architecture, and what `transformers` makes of them.

Weights are rounded to f16 first, so that the file and the reference hold the same numbers. Each golden has the token
ids of a question with a text by the reference tokenizer, and the logit of the pair in f32; that of a pruner has the
probability that each token of the text is to be kept, too. Pruners are in the form of OpenProvence: the question, the
separator and the text as one sequence, and a linear layer on what the last layer gives, before any norm behind it (the
last of `hidden_states` of transformers 4, with which they were trained). `pruner-provence` is in the form of Provence
(arXiv 2501.16214): the same with spaces around the separator, the layer being called `token_classifier`.

The tokenizer of `deberta-v3` is converted from a model of sentencepiece with its normaliser, as those of the published
models are, and the script demands that both give the same ids.

Run it in an environment with torch, transformers, sentencepiece and protobuf: python3 encoders.py [NAME ...]
"""
import io
import json
import sys
from pathlib import Path

import sentencepiece
import torch
import transformers
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).parent / "encoders"
WIDTH, HIDDEN, HEADS, POSITIONS = 64, 128, 4, 160
CORPUS = [
    "The bridge was opened in 1987, and both libraries close at six.",
    "It is not open to lorries, which is why the old road along the river was never closed.",
    "def total(items):\n    return sum(item.price for item in items)\n",
    "Der Leuchtturm am Kap wurde 1874 vollendet. Le phare du cap mesure 41 mètres.",
    "the then there their these they that this thing other another mother",
] * 20
PAIRS = [
    ("When was the bridge opened?", "The bridge was opened in 1987, and both libraries close at six."),
    ("When was the bridge opened?", "Der Leuchtturm am Kap wurde 1874 vollendet."),
    ("Which road is old?", "It is not open to lorries.  The old road\nalong the river was never closed. " * 2),
    ("what does total(items) return", "def total(items):\n    return sum(item.price for item in items)\n"),
    ("灯塔?", "Le phare du cap mesure 41 mètres; маяк 1874 года."),
    ("the other", ""),
]
SPECIAL = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "modernbert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    "xlm-roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    "deberta": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
}
# What tells the models of DeBERTa apart.
DEBERTA = {
    "deberta-v3": dict(
        position_buckets=32, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
        position_biased_input=False, max_position_embeddings=512,
    ),
    "deberta-v2": dict(
        position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c",
        position_biased_input=False, conv_kernel_size=3, conv_act="gelu",
    ),
    "deberta-v2-unshared": dict(
        position_buckets=-1, max_relative_positions=24, norm_rel_ebd="none", share_att_key=False,
        pos_att_type="c2p|p2c", position_biased_input=True, type_vocab_size=2,
    ),
}
DEBERTA["embed-deberta"] = DEBERTA["pruner-provence"] = DEBERTA["deberta-v3"] | dict(max_position_embeddings=160)


def tokenizer_of_deberta(has_map):
    """A tokenizer in the form of the published models; with the map of characters that sentencepiece makes, or without."""
    special = SPECIAL["deberta"]
    names = {f"{kind}_{part}": value for i, kind in enumerate(("pad", "bos", "eos", "unk"))
             for part, value in (("id", i), ("piece", special[i]))}
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=file, vocab_size=300, hard_vocab_limit=False,
        character_coverage=1.0, minloglevel=2, **names,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(file.getvalue())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    by_map = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap) if has_map else normalizers.NFKC()
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), by_map, normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    if has_map:
        original = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
        for text in [text for pair in PAIRS for text in pair]:
            assert tokenizer.encode(text, add_special_tokens=False).ids == original.encode(text), text
    return tokenizer


def tokenizer_of(kind, name):
    special = SPECIAL[kind]
    if kind == "deberta":
        return with_template(tokenizer_of_deberta(name == "deberta-v3"), kind)
    if kind == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    elif kind == "xlm-roberta":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
        )
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=380, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return with_template(tokenizer, kind)


def with_template(tokenizer, kind):
    special = SPECIAL[kind]
    ids = {token: tokenizer.token_to_id(token) for token in special}
    if kind == "roberta":
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), trim_offsets=True, add_prefix_space=False
        )
    elif kind == "xlm-roberta":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[(t, ids[t]) for t in ("<s>", "</s>")]
        )
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
            special_tokens=[(t, ids[t]) for t in ("[CLS]", "[SEP]")],
        )
    return tokenizer


def config_of(kind, name, vocabulary):
    sizes = dict(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=HIDDEN, num_attention_heads=HEADS,
        max_position_embeddings=POSITIONS, num_labels=1,
    )
    if kind == "bert":
        return transformers.BertConfig(num_hidden_layers=2, pad_token_id=0, **sizes)
    if kind == "modernbert":
        return transformers.ModernBertConfig(
            num_hidden_layers=4, local_attention=16, pad_token_id=0, cls_token_id=2, sep_token_id=3,
            bos_token_id=2, eos_token_id=3, classifier_pooling="mean", **(sizes | {"max_position_embeddings": 512}),
        )
    if kind == "deberta":
        settings = dict(type_vocab_size=0, relative_attention=True, pad_token_id=0, num_hidden_layers=2)
        return transformers.DebertaV2Config(**(sizes | settings | DEBERTA[name]))
    family = transformers.RobertaConfig if kind == "roberta" else transformers.XLMRobertaConfig
    # Positions are counted from behind the padding's.
    sizes["max_position_embeddings"] += 2
    return family(num_hidden_layers=2, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, **sizes)


def randomize(module):
    with torch.no_grad():
        for name, values in module.named_parameters():
            is_norm = "norm" in name.lower() and name.endswith("weight")
            values.copy_((torch.randn_like(values) * 0.15 + float(is_norm)).half().float())


def golden(name, kind, pruner):
    torch.manual_seed(sum(name.encode()))
    tokenizer = tokenizer_of(kind, name)
    config = config_of(kind, name, tokenizer.get_vocab_size())
    model = transformers.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    model = model.float().eval()
    head = torch.nn.Linear(WIDTH, 2)
    randomize(model)
    randomize(head)
    base = model.base_model
    layers = base.layers if kind == "modernbert" else base.encoder.layer
    last = []
    layers[-1].register_forward_hook(lambda _, __, out: last.append(out[0] if isinstance(out, tuple) else out))
    separator = SPECIAL[kind][3 if kind in ("bert", "modernbert") else 2]
    between = f" {separator} " if pruner == "provence" else separator
    pairs = []
    # Longer than the blocks in which attention reads.
    repeated = {"modernbert": 12, "deberta-v3": 8}.get(name if kind == "deberta" else kind, 0)
    long = [("Which road is old?", CORPUS[1] * repeated)] if repeated else []
    for question, text in PAIRS + long:
        if pruner:
            encoding = tokenizer.encode(question + between + text)
            types = [0] * len(encoding.ids)
            first = encoding.ids.index(tokenizer.token_to_id(separator)) + 1
        else:
            encoding = tokenizer.encode(question, text)
            types = encoding.type_ids
        is_typed = kind == "bert" or getattr(config, "type_vocab_size", 0) > 1
        given = {"token_type_ids": torch.tensor([types])} if is_typed else {}
        with torch.no_grad():
            last.clear()
            ids = torch.tensor([encoding.ids])
            score = model(input_ids=ids, attention_mask=torch.ones_like(ids), **given).logits[0, 0].item()
            row = last[-1].reshape(len(encoding.ids), WIDTH)
            keep = torch.softmax(head(row), -1)[:, 1].tolist()
        pair = {"question": question, "text": text, "ids": encoding.ids, "score": score}
        if pruner:
            pair["keep"] = keep[first:-1]
        pairs.append(pair)
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = [type(model).__name__]
    settings = json.loads(config.to_json_string(use_diff=False))
    tensors = {key: value.half().contiguous() for key, value in model.state_dict().items() if value.is_floating_point()}
    if pruner == "provence":
        settings |= {"architectures": ["Provence"], "model_type": "Provence"}
        tensors |= {f"token_classifier.{key}": value.half() for key, value in head.state_dict().items()}
    elif pruner:
        settings = {
            "architectures": ["OpenProvenceForSequenceClassification"], "model_type": "open_provence",
            "base_model_config": settings, "max_length": 512, "num_labels": 1, "num_pruning_labels": 2,
            "default_threadshold": 0.2,
        }
        tensors = {f"ranking_model.{key}": value for key, value in tensors.items()}
        tensors |= {f"pruning_head.classifier.{key}": value.half() for key, value in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    (folder / "golden.json").write_text(json.dumps(pairs, ensure_ascii=False, indent=1) + "\n")
    print(name, [round(pair["score"], 3) for pair in pairs])


MODELS = {
    "bert": ("bert", None),
    "roberta": ("roberta", None),
    "xlm-roberta": ("xlm-roberta", None),
    "modernbert": ("modernbert", None),
    "deberta-v3": ("deberta", None),
    "deberta-v2": ("deberta", None),
    "deberta-v2-unshared": ("deberta", None),
    "pruner-modernbert": ("modernbert", "openprovence"),
    "pruner-xlm-roberta": ("xlm-roberta", "openprovence"),
    "pruner-provence": ("deberta", "provence"),
}
if __name__ == "__main__":
    for wanted in sys.argv[1:] or MODELS:
        golden(wanted, *MODELS[wanted])
