"""Makes encoders/embed-*: tiny random embedders, and what sentence-transformers makes of them.

Weights are rounded to f16 first, so that the file and the reference hold the same numbers. Each golden has the token ids
of a text by the reference tokenizer and its vector in f32, cut off after so many tokens as the model's files say; and the
first values of the vector at length 1, as `truncate_dim` gives them. The files beside the encoder's are those that
sentence-transformers writes; `embed-xlm-roberta` has them in the form of versions before 6.

Run it in an environment with torch, transformers, sentence-transformers, sentencepiece and protobuf:
python3 embedders.py [NAME ...]
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as models

from encoders import CORPUS, FOLDER, PAIRS, SPECIAL, WIDTH, config_of, randomize, tokenizer_of

CUT = 24
TEXTS = [text for pair in PAIRS for text in pair] + [CORPUS[1] * 12]
BESIDE = ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json"]


def golden(name, kind, pooling, prompts):
    torch.manual_seed(sum(name.encode()))
    tokenizer = tokenizer_of(kind, name)
    config = config_of(kind, name, tokenizer.get_vocab_size())
    model = transformers.AutoModel.from_config(config).float().eval()
    randomize(model)
    special = SPECIAL[kind]
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
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (target / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")
    lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
    (target / "golden.json").write_text(f"[{lines}]\n")
    print(name, sorted(tensors)[:3], [len(pair["ids"]) for pair in pairs])


MODELS = {
    "embed-xlm-roberta": ("xlm-roberta", "cls", {"query": "query: ", "document": "passage: "}),
    "embed-modernbert": ("modernbert", "lasttoken", {}),
    "embed-deberta": ("deberta", "mean", {"query": "search: "}),
}
if __name__ == "__main__":
    for wanted in sys.argv[1:] or MODELS:
        golden(wanted, *MODELS[wanted])
