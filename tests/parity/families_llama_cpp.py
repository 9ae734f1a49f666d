"""Compares the goldens in families/*.json with what llama.cpp (the wheel xllamacpp) makes of the same files.

Prints, for each family, whether the ids of llama.cpp's tokenizer are the golden ones, and the largest difference of the
scores of the first tokens of each text. llama.cpp keeps keys and values in f32 here, but multiplies weights of f16 with
inputs rounded to f16.

Run it in an environment with that wheel: python3 families_llama_cpp.py [FAMILY ...]
"""
import json
import sys
import urllib.request
from pathlib import Path

import xllamacpp as llama

FOLDER = Path(__file__).parent / "families"
TOKENS = 48


def server(family):
    params = llama.CommonParams()
    params.model.path = str(FOLDER / f"{family}.gguf")
    params.n_ctx, params.n_parallel, params.warmup = 512, 1, False
    params.cache_type_k = params.cache_type_v = llama.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = 1
    return llama.Server(params)


def post(model, path, body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{model.listening_address}/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def score(model, before, token):
    """The score of a token, which is made certain to be the next; none where it is part of a character."""
    asked = {"prompt": before, "n_predict": 1, "n_probs": 1, "temperature": 0, "logit_bias": [[token, 1e6]],
             "cache_prompt": False}
    found = post(model, "completion", asked).get("completion_probabilities", [])
    return -found[0]["logprob"] if found and found[0]["id"] == token else None


def tokenize(model, text, special=False):
    return post(model, "tokenize", {"content": text, "add_special": special, "parse_special": False})["tokens"]


def main():
    for family in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.json")):
        model, largest, same = server(family), 0.0, []
        for golden in json.loads((FOLDER / f"{family}.json").read_text()):
            ids = golden["ids"]
            same.append(tokenize(model, golden["text"]) == ids)
            # What llama.cpp puts before each text, too.
            whole = tokenize(model, golden["text"], special=True)
            bos = whole[: max(0, len(whole) - len(ids))]
            for i in range(1, min(len(ids), TOKENS)):
                own = score(model, bos + ids[:i], ids[i])
                # The logarithm of a probability that is zero in f32 is no measure.
                if own is not None and own < 80:
                    largest = max(largest, abs(own - golden["nll"][i - 1]))
        print(f"{family}: ids equal in {sum(same)} of {len(same)} texts, largest difference {largest:.4f}", flush=True)


if __name__ == "__main__":
    main()
