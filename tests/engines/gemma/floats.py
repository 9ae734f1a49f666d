#!/usr/bin/env python3
"""Writes a GGUF file whose tensors are 32-bit floats: floats.py QUANTISED.gguf FLOATS.gguf. They have the values that the
Python package `gguf` reads from the quantised ones, so that an engine which runs the copy rounds nothing."""
import pathlib
import sys

import gguf


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    reader = gguf.GGUFReader(source)
    kind = reader.fields["general.architecture"].contents()
    written = target.with_suffix(".part")
    out = gguf.GGUFWriter(written, kind)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            value = field.types[0]
            within = field.types[-1] if value == gguf.GGUFValueType.ARRAY else None
            out.add_key_value(name, field.contents(), value, within)
    for tensor in reader.tensors:
        out.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    written.rename(target)


main()
