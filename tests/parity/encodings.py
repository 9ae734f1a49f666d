"""Makes encodings.gguf: blocks of random bytes in every encoding of tensors, and the values that the Python package
`gguf` reads from them, in a tensor of the same name with `.values` behind it.

Run it in an environment with numpy and gguf: python3 encodings.py
"""
from pathlib import Path

import gguf
import numpy

SHAPE = (2, 512)
# The places of the 16-bit scales in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
}


def blocks(name, kind, random):
    values, size = gguf.GGML_QUANT_SIZES[kind]
    if name in ("F16", "BF16"):
        floats = random.normal(size=SHAPE).astype(numpy.float32)
        return gguf.quants.quantize(floats, kind) if name == "BF16" else floats.astype(numpy.float16)
    rows = random.integers(0, 256, (SHAPE[0] * SHAPE[1] // values, size), dtype=numpy.uint8)
    for place in SCALES.get(name, []):
        scales = random.normal(size=len(rows)).astype(numpy.float16)
        rows[:, place : place + 2] = scales.view(numpy.uint8).reshape(-1, 2)
    if name == "MXFP4":
        rows[:, 0] = random.integers(110, 140, len(rows))
        # The two exponents whose halves are no normal floats.
        rows[:2, 0] = [0, 1]
    if name == "TQ1_0":
        # Five digits of base 3 that a byte can mean.
        rows[:, :52] = (numpy.floor(random.integers(0, 243, rows[:, :52].shape) * 256 + 242) // 243).astype(numpy.uint8)
    return rows.reshape(SHAPE[0], -1)


def main():
    out = gguf.GGUFWriter(Path(__file__).parent / "encodings.gguf", "none")
    random = numpy.random.default_rng(1)
    for name in ["F16", "BF16", *SCALES, "MXFP4"]:
        kind = gguf.GGMLQuantizationType[name]
        stored = blocks(name, kind, random)
        values = gguf.quants.dequantize(stored, kind).reshape(SHAPE)
        assert numpy.isfinite(values).all(), name
        out.add_tensor(name, stored, raw_dtype=None if name == "F16" else kind)
        out.add_tensor(f"{name}.values", values.astype(numpy.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    main()
