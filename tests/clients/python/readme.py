"""Runs the examples of the package's README as they stand, at the address of the service that runs."""

import contextlib
import io
import os
import pathlib
import re

README = pathlib.Path(__file__).resolve().parents[3] / "clients/python/README.md"
FRAMEWORKS = re.compile(r"^from (?:langchain|llama_index|haystack|dspy|litellm)", re.M)


def examples(tally, client, binary, framework):
    """Runs the examples that need a framework, or those that need none."""
    blocks = [block for block in re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.M | re.S)
              if bool(FRAMEWORKS.search(block)) == framework]
    os.environ["WHITTLE_BINARY"] = binary
    for block in blocks:
        # `PromptCompressor` and others that name no address would look for the service where it is by default.
        code = block.replace("http://127.0.0.1:8787", client.base_url)
        code = code.replace("PromptCompressor()", "PromptCompressor(client=__import__('whittle').Client(%r))" % client.base_url)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, str(README), "exec"), {"__name__": "example"})
        tally.holds(f"an example says something about the question:\n{block}{output.getvalue()}",
                    re.search(r"1987|mended", output.getvalue()))
    del os.environ["WHITTLE_BINARY"]
    tally.holds("there are examples", len(blocks) >= 3)
