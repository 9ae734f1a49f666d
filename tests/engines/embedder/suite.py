#!/usr/bin/env python3
"""The embedder beside PyTorch and ONNX Runtime: suite.py WHITTLE TURNS [PASSAGES.jsonl]. All read the same texts with two
threads, in turns. Prints texts per second and fails where an engine's vectors are not those of PyTorch in f32."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer
from transformers import BertModel

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL, WIDTH, WINDOW, THREADS, BATCH = "all-minilm-l6-v2", 384, 256, 2, 32
# Smallest mean cosine with PyTorch in f32.
SMALLEST = {"bf16": 0.999, "onnx int8": 0.97}


def texts_of(path):
    """The texts of a file, or the paragraphs of the project's own guides."""
    if path:
        with open(path) as lines:
            return [json.loads(line)["text"] for line in lines]
    paragraphs = []
    for guide in sorted((ROOT / "src/docs").glob("*.md")):
        paragraphs += [text.strip() for text in guide.read_text().split("\n\n")]
    return [text for text in paragraphs if len(text) > 200]


def model_folder():
    """The model's files as the program keeps them."""
    folder = pathlib.Path(os.environ["WHITTLE_CACHE"]) / "models" / MODEL
    if not (folder / "model.safetensors").exists():
        raise SystemExit(f"{folder} has no model: run `whittle models download {MODEL}` first")
    return folder


def pytorch(folder, dtype):
    """PyTorch by sentence-transformers, which sorts texts by length and pads batches."""
    bert = modules.Transformer(str(folder), max_seq_length=WINDOW, model_kwargs={"dtype": dtype})
    parts = [bert, modules.Pooling(WIDTH, "mean"), modules.Normalize()]
    model = SentenceTransformer(modules=parts, device="cpu")
    options = {"batch_size": BATCH, "convert_to_tensor": True, "show_progress_bar": False}
    return lambda texts: model.encode(texts, **options).float().numpy()


class Hidden(torch.nn.Module):
    """The last layer's rows alone, which is what is exported."""

    def __init__(self, folder):
        super().__init__()
        self.bert = BertModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask, token_type_ids):
        read = self.bert(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return read.last_hidden_state


class Onnx:
    """ONNX Runtime with weights in 8 bits, by its own dynamic quantisation."""

    def __init__(self, folder, work):
        whole, small = work / "model.onnx", work / "int8.onnx"
        inputs, output = ["input_ids", "attention_mask", "token_type_ids"], "hidden"
        torch.onnx.export(
            Hidden(folder),
            (torch.ones(2, 8, dtype=torch.long),) * len(inputs),
            str(whole),
            input_names=inputs,
            output_names=[output],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*inputs, output]},
            dynamo=False,
            opset_version=17,
        )
        quantize_dynamic(str(whole), str(small), weight_type=QuantType.QInt8, per_channel=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = onnxruntime.InferenceSession(str(small), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(WINDOW)
        self.tokenizer.enable_padding()

    def __call__(self, texts):
        vectors = numpy.zeros((len(texts), WIDTH), dtype=numpy.float32)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(order), BATCH):
            places = order[start:start + BATCH]
            read = self.tokenizer.encode_batch([texts[i] for i in places])
            ids = numpy.array([one.ids for one in read], dtype=numpy.int64)
            mask = numpy.array([one.attention_mask for one in read], dtype=numpy.int64)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
            hidden = self.session.run(None, feed)[0] * mask[:, :, None]
            mean = hidden.sum(axis=1)
            vectors[places] = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
        return vectors


def whittle_rate(binary, file):
    """Texts per second of the program's own bench, loading excluded, as for the others."""
    command = [binary, "bench", "embed", "--passages", str(file), "--runs", "1", "--format", "json"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    return json.loads(ran.stdout)["passages_per_second"]["median"]


def main():
    binary, turns = sys.argv[1], int(sys.argv[2])
    # The exporter names its successor at length.
    warnings.simplefilter("ignore")
    texts = texts_of(sys.argv[3] if len(sys.argv) > 3 else "")
    torch.set_num_threads(THREADS)
    folder = model_folder()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        file = work / "texts.jsonl"
        # Whole windows for all: a longer text is pooled over windows here, and truncated by the others.
        texts = [text[:600] for text in texts]
        file.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
        engines = {
            "f32": pytorch(folder, torch.float32),
            "bf16": pytorch(folder, torch.bfloat16),
            "onnx int8": Onnx(folder, work),
        }
        wanted = engines["f32"](texts)
        for name, smallest in SMALLEST.items():
            cosine = float((engines[name](texts) * wanted).sum(axis=1).mean())
            print(f"{name}: mean cosine with f32 {cosine:.5f}")
            if cosine < smallest:
                raise SystemExit(f"{name} has other vectors than f32: {cosine:.5f} of {smallest}")
        rates = {"whittle": [], **{name: [] for name in engines}}
        for _ in range(turns):
            rates["whittle"].append(whittle_rate(binary, file))
            for name, embed in engines.items():
                start = time.perf_counter()
                embed(texts)
                rates[name].append(len(texts) / (time.perf_counter() - start))
    own = statistics.median(rates["whittle"])
    for name, found in rates.items():
        middle = statistics.median(found)
        shown = f"{name:10} {middle:8.1f} texts/s ({min(found):.1f} to {max(found):.1f})"
        print(shown + ("" if name == "whittle" else f", whittle {own / middle:.2f} times as fast"))


if __name__ == "__main__":
    main()
