"""Runs the adapters of the Python package in the real frameworks, against the real service. What each returns must equal
what the HTTP API answers. Ends with a table, and with 1 where something was wrong.

Usage: suite.py PATH_OF_WHITTLE
"""

import asyncio
import importlib.metadata
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import readme
import whittle
from core import ASK, BRIDGE, UNICODE
from tally import Tally

TEXTS = [BRIDGE, UNICODE, "The harbour has a new crane, which lifts forty tonnes. Nobody knows what it cost."]
LOG = "".join(f"12:{n // 60:02}:{n % 60:02} request {n} of the harbour office took {n * 7 % 90} ms and was answered.\n" for n in range(120))
SEARCH = {"mode": "hybrid", "filter": {"field": "year", "gte": 1900}}
MASTER_KEY = "sk-" + secrets.token_hex(32)
FRAMEWORKS = ("langchain-core", "langchain", "llama-index-core", "haystack-ai", "dspy", "litellm")


class Upstream(BaseHTTPRequestHandler):
    """An LLM API that calls the first tool once and then answers with a sentence. It keeps what arrived."""

    protocol_version = "HTTP/1.1"
    bodies: list[dict] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.bodies.append(body)
        message, reason = {"role": "assistant", "content": "Done."}, "stop"
        if body.get("tools") and not any(message["role"] == "tool" for message in body["messages"]):
            function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
            message = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            reason = "tool_calls"
        answer = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
                             "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                             "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def compressed(tally, **more):
    """What the HTTP API makes of the texts: the texts and scores of the documents that are left."""
    body = {"documents": [{"text": text} for text in TEXTS], "question": ASK, **more}
    documents = tally.api("POST", "/v1/compress", body)["documents"]
    return [(document["text"], document["score"]) for document in documents if document["text"].strip()]


def found(tally, top_k, **search):
    results = tally.api("POST", "/v1/collections/town/search", {"query": ASK, "top_k": top_k, **search})["results"]
    return [(result["chunk_id"], result["text"], result["score"]) for result in results]


def shortened(tally, text, question, rate):
    """What the HTTP API makes of a long text of a conversation."""
    body = {"documents": [{"text": text}], "question": question, "rate": rate}
    return tally.api("POST", "/v1/compress", body)["documents"][0]["text"]


def fill(client):
    client.collections.create("town")
    client.collections.upsert("town", [{"id": f"{n}", "title": f"T{n}", "text": text, "metadata": {"year": 1950 + n}}
                                       for n, text in enumerate(TEXTS)])


def langchain(tally, client):
    from langchain_core.documents import Document
    from langchain_core.prompts import FewShotPromptTemplate, PromptTemplate
    from langchain_core.runnables import RunnableLambda
    from whittle.langchain import WhittleCompressor, WhittleExampleSelector, WhittleRetriever

    documents = [Document(page_content=text, metadata={"n": n}, id=f"d{n}") for n, text in enumerate(TEXTS)]
    pairs = lambda documents: [(document.page_content, document.metadata.get("relevance_score")) for document in documents]
    for given, asked in (({}, {"rate": 0.5}), ({"rate": 0.8}, {"rate": 0.8}), ({"target_tokens": 25}, {"target_tokens": 25}),
                         ({"method": "extractive"}, {"rate": 0.5, "method": "extractive"})):
        compressor, expected = WhittleCompressor(client=client, **given), compressed(tally, **asked)
        tally.equals(f"compressor {given}", pairs(compressor.compress_documents(documents, ASK)), expected)
        made = asyncio.run(WhittleCompressor(client=client, **given).acompress_documents(documents, ASK))
        tally.equals(f"asynchronous compressor {given}", pairs(made), expected)
    tally.holds("metadata and ids stay", [(d.metadata["n"], d.id) for d in compressor.compress_documents(documents, ASK)][0][1][0] == "d"
                and documents[0].metadata == {"n": 0})
    tally.holds("no documents", compressor.compress_documents([], ASK) == [])
    retriever = WhittleRetriever(client=client, collection="town", top_k=2, search=SEARCH)
    triples = lambda documents: [(d.id, d.page_content, d.metadata["relevance_score"]) for d in documents]
    tally.equals("retriever", triples(retriever.invoke(ASK)), found(tally, 2, **SEARCH))
    for _ in range(2):
        tally.equals("asynchronous retriever", triples(asyncio.run(retriever.ainvoke(ASK))), found(tally, 2, **SEARCH))
    tally.equals("batch", [triples(each) for each in retriever.batch([ASK, ASK])], [found(tally, 2, **SEARCH)] * 2)
    chain = retriever | RunnableLambda(lambda documents: WhittleCompressor(client=client).compress_documents(documents, ASK))
    tally.holds("a chain", len(chain.invoke(ASK)) > 0)
    selector = WhittleExampleSelector("facts", client, count=1, question_key="input", answer_key="output")
    for n in range(4):
        selector.add_example({"input": f"What is {n} times {n}?", "output": str(n * n), "kind": "square"})
    selector.add_example({"input": "Which nerve bends the wrist?", "output": "median", "kind": "nerve"})
    chosen = tally.api("POST", "/v1/example-banks/facts/select", {"question": "Which nerve is it?", "count": 1})["examples"]
    expected = [{"kind": each["example"]["metadata"]["kind"], "input": each["example"]["question"],
                 "output": each["example"]["answer"]} for each in chosen]
    tally.equals("selector", selector.select_examples({"input": "Which nerve is it?"}), expected)
    tally.equals("asynchronous selector", asyncio.run(selector.aselect_examples({"input": "Which nerve is it?"})), expected)
    shots = FewShotPromptTemplate(example_selector=selector, example_prompt=PromptTemplate.from_template("{input} {output}"),
                                  suffix="{input}", input_variables=["input"])
    tally.holds("a prompt of few shots", "bends the wrist? median" in shots.format(input="Which nerve is it?"))


def langchain_agent(tally, client):
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI
    from whittle.langchain_agents import WhittleMiddleware

    def read_log() -> str:
        """Reads the log."""
        return LOG

    model = ChatOpenAI(model="gpt-4o", base_url=upstream(), api_key="none", max_retries=0)
    expected = shortened(tally, LOG, ASK, 0.3)
    agent = create_agent(model, [read_log], middleware=[WhittleMiddleware(client, rate=0.3)])
    for invoke in (agent.invoke, lambda value: asyncio.run(agent.ainvoke(value))):
        Upstream.bodies.clear()
        state = invoke({"messages": [{"role": "user", "content": ASK}]})
        sent = [message["content"] for message in Upstream.bodies[-1]["messages"] if message["role"] == "tool"]
        tally.equals("what the model reads of a tool", sent, [expected])
        tally.holds("the state keeps the original", [m.content for m in state["messages"] if m.type == "tool"] == [LOG])
        tally.holds("the user's words stay", Upstream.bodies[-1]["messages"][0]["content"] == ASK)
    state = agent.invoke({"messages": [*state["messages"], {"role": "user", "content": "And what else is there?"}]})
    sent = [message["content"] for message in Upstream.bodies[-1]["messages"] if message["role"] == "tool"]
    tally.equals("what was sent before is sent again", sent, [expected])
    down = create_agent(model, [read_log], middleware=[WhittleMiddleware(whittle.Client("http://127.0.0.1:9", retries=0))])
    down.invoke({"messages": [{"role": "user", "content": ASK}]})
    tally.holds("without the service the original goes on", Upstream.bodies[-1]["messages"][-1]["content"] == LOG)


def llama_index(tally, client):
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.llms import MockLLM
    from llama_index.core.response_synthesizers import get_response_synthesizer
    from llama_index.core.schema import NodeWithScore, TextNode
    from whittle.llama_index import WhittlePostprocessor, WhittleRetriever

    nodes = [NodeWithScore(node=TextNode(text=text, id_=f"n{n}"), score=0.1) for n, text in enumerate(TEXTS)]
    pairs = lambda nodes: [(node.node.get_content(), node.score) for node in nodes]
    for given in ({"rate": 0.5}, {"target_tokens": 25}, {"rate": 0.7, "method": "extractive"}):
        own, expected = WhittlePostprocessor(client, **given), compressed(tally, **given)
        tally.equals(f"postprocessor {given}", pairs(own.postprocess_nodes(nodes, query_str=ASK)), expected)
        tally.equals(f"asynchronous postprocessor {given}",
                     pairs(asyncio.run(WhittlePostprocessor(client, **given).apostprocess_nodes(nodes, query_str=ASK))), expected)
    tally.holds("the nodes stay", [node.node.get_content() for node in nodes] == TEXTS)
    tally.holds("no nodes", own.postprocess_nodes([], query_str=ASK) == [])
    retriever = WhittleRetriever("town", client, top_k=2, search=SEARCH)
    triples = lambda nodes: [(node.node.node_id, node.node.get_content(), node.score) for node in nodes]
    tally.equals("retriever", triples(retriever.retrieve(ASK)), found(tally, 2, **SEARCH))
    for _ in range(2):
        tally.equals("asynchronous retriever", triples(asyncio.run(retriever.aretrieve(ASK))), found(tally, 2, **SEARCH))
    engine = RetrieverQueryEngine(retriever, get_response_synthesizer(llm=MockLLM()), node_postprocessors=[WhittlePostprocessor(client)])
    answer = engine.query(ASK)
    tally.holds("a query engine", 0 < sum(len(node.node.get_content()) for node in answer.source_nodes) < len("".join(TEXTS)))


def haystack(tally, client):
    from haystack import Document, Pipeline
    from haystack.utils import Secret
    from whittle.haystack import WhittleCompressor, WhittleRetriever

    documents = [Document(id=f"h{n}", content=text, meta={"n": n}) for n, text in enumerate(TEXTS)]
    pairs = lambda documents: [(document.content, document.score) for document in documents]
    for given, asked in (({}, {"rate": 0.5}), ({"target_tokens": 25}, {"target_tokens": 25}),
                         ({"rate": 0.7, "options": {"keep_first_sentences": 1}}, {"rate": 0.7, "options": {"keep_first_sentences": 1}})):
        own = WhittleCompressor(base_url=client.base_url, **given)
        tally.equals(f"compressor {given}", pairs(own.run(documents, ASK)["documents"]), compressed(tally, **asked))
        for _ in range(2):
            tally.equals(f"asynchronous compressor {given}", pairs(asyncio.run(own.run_async(documents, ASK))["documents"]),
                         compressed(tally, **asked))
    tally.holds("the documents stay", [document.content for document in documents] == TEXTS)
    triples = lambda documents: [(document.id, document.content, document.score) for document in documents]
    retriever = WhittleRetriever("town", 2, SEARCH, base_url=client.base_url)
    tally.equals("retriever", triples(retriever.run(ASK)["documents"]), found(tally, 2, **SEARCH))
    os.environ["A_KEY_OF_WHITTLE"] = "secret"
    pipeline = Pipeline()
    pipeline.add_component("retriever", WhittleRetriever("town", base_url=client.base_url))
    pipeline.add_component("compressor", WhittleCompressor(rate=0.6, base_url=client.base_url,
                                                           api_key=Secret.from_env_var("A_KEY_OF_WHITTLE")))
    pipeline.connect("retriever.documents", "compressor.documents")
    question = {"retriever": {"query": ASK}, "compressor": {"query": ASK}}
    once = pipeline.run(question)["compressor"]["documents"]
    text = pipeline.dumps()
    tally.holds("the key is not in the file of the pipeline", '"secret"' not in text and ": secret" not in text)
    again = Pipeline.loads(text, allowed_modules=["whittle.haystack"]).run(question)["compressor"]["documents"]
    tally.holds("a pipeline, also read from its file", once and pairs(once) == pairs(again))
    parallel = Pipeline()
    parallel.add_component("retriever", WhittleRetriever("town", 2, SEARCH, base_url=client.base_url))
    answer = asyncio.run(parallel.run_async({"retriever": {"query": ASK}}))
    tally.equals("asynchronous pipeline", triples(answer["retriever"]["documents"]), found(tally, 2, **SEARCH))


def dspy(tally, client):
    import dspy
    from whittle.dspy import WhittleRM

    triples = lambda passages: [(passage.document_id, passage.long_text, passage.score) for passage in passages]
    expected = [(chunk.split("#")[0], text, score) for chunk, text, score in found(tally, 2, **SEARCH)]
    retriever = WhittleRM("town", client, k=2, **SEARCH)
    tally.equals("retriever", triples(retriever(ASK)), expected)
    tally.equals("one passage", triples(retriever(ASK, k=1)), [(chunk.split("#")[0], text, score)
                                                               for chunk, text, score in found(tally, 1, **SEARCH)])
    dspy.configure(rm=retriever)
    tally.equals("dspy.Retrieve", dspy.Retrieve(k=2)(ASK).passages, [text for _, text, _ in expected])
    smaller = WhittleRM("town", client, k=3, target_tokens=25)(ASK)
    found_texts = [text for _, text, _ in found(tally, 3)]
    body = {"documents": [{"text": text} for text in found_texts], "question": ASK, "target_tokens": 25}
    made = tally.api("POST", "/v1/compress", body)["documents"]
    tally.equals("made smaller", [passage.long_text for passage in smaller], [d["text"] for d in made if d["text"].strip()])


def litellm(tally, client):
    import litellm
    from whittle.litellm import WhittleHandler

    base, expected = upstream(), shortened(tally, LOG, ASK, 0.3)
    messages = [{"role": "user", "content": LOG}, {"role": "assistant", "content": "Read."}, {"role": "user", "content": ASK}]
    handler = WhittleHandler(client, rate=0.3)
    litellm.callbacks = [handler]

    async def calls():
        settings = {"model": "openai/gpt-4o", "api_base": base, "api_key": "none"}
        await litellm.acompletion(messages=messages, **settings)
        tally.equals("acompletion", [m["content"] for m in Upstream.bodies[-1]["messages"]], [expected, "Read.", ASK])
        tools = [{"role": "user", "content": ASK}, {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": LOG}]
        await litellm.acompletion(messages=tools, **settings)
        tally.equals("a tool's result", Upstream.bodies[-1]["messages"][-1]["content"], expected)
        router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": settings}])
        await router.acompletion("m", messages)
        tally.equals("router", [m["content"] for m in Upstream.bodies[-1]["messages"]], [expected, "Read.", ASK])
        hooked = await handler.async_pre_call_hook(None, None, {"model": "m", "messages": messages}, "acompletion")
        tally.equals("the proxy's hook", [m["content"] for m in hooked["messages"]], [expected, "Read.", ASK])
        other = await handler.async_pre_call_hook(None, None, {"input": LOG}, "embedding")
        tally.holds("other calls stay", other == {"input": LOG})

    for _ in range(2):
        # Other results in the second loop, so that the service is called in each.
        handler.texts._results.clear()
        Upstream.bodies.clear()
        asyncio.run(calls())
    tally.holds("the messages of the caller stay", messages[0]["content"] == LOG)


def litellm_proxy(tally, client):
    """LiteLLM's proxy as a program, which finds the callback by its name in the configuration."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        pathlib.Path(folder, "shorten.py").write_text(
            f"import whittle\nfrom whittle.litellm import WhittleHandler\n"
            f"handler = WhittleHandler(whittle.Client({client.base_url!r}), rate=0.3)\n")
        pathlib.Path(folder, "config.yaml").write_text(
            f"model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/gpt-4o\n      api_base: {upstream()}\n"
            f"      api_key: none\ngeneral_settings:\n  master_key: {MASTER_KEY}\nlitellm_settings:\n  callbacks: shorten.handler\n")
        program = [str(pathlib.Path(sys.executable).with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1",
                   "--port", str(port), "--telemetry", "False"]
        with open(pathlib.Path(folder, "log"), "w+") as log:
            process = subprocess.Popen(program, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                answer = chat(f"http://127.0.0.1:{port}", process)
                sent = [message["content"] for message in Upstream.bodies[-1]["messages"]]
                tally.equals("what the model reads", sent, [shortened(tally, LOG, ASK, 0.3), "Read.", ASK])
                tally.holds("the answer comes back", answer["choices"][0]["message"]["content"] == "Done.")
            except Exception:
                log.seek(0)
                tally.fail(log.read()[-3000:])
                raise
            finally:
                process.terminate()
                process.wait(60)


def chat(base, process):
    """Asks a proxy as soon as it listens."""
    messages = [{"role": "user", "content": LOG}, {"role": "assistant", "content": "Read."}, {"role": "user", "content": ASK}]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    request = urllib.request.Request(base + "/v1/chat/completions", body, {
        "content-type": "application/json", "authorization": f"Bearer {MASTER_KEY}"})
    for _ in range(1200):
        try:
            return json.load(urllib.request.urlopen(request, timeout=60))
        except urllib.error.HTTPError:
            raise
        except OSError:
            if process.poll() is not None:
                raise
            time.sleep(0.1)
    raise TimeoutError("the proxy does not listen")


def main():
    with whittle.serve(binary=os.path.abspath(sys.argv[1])) as client:
        fill(client)
        tally = Tally(client.base_url)
        for area in (langchain, langchain_agent, llama_index, haystack, dspy, litellm, litellm_proxy):
            tally.run(area.__name__, area, client)
        tally.run("README", readme.examples, client, os.path.abspath(sys.argv[1]), True)
    print(tally)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in FRAMEWORKS))
    sys.exit(1 if tally.wrong else 0)


main()
