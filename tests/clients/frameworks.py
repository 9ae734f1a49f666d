"""What the Python frameworks see that stand on the official clients: LangChain and LlamaIndex."""

import langchain_anthropic
import langchain_openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike

from common import ASK, EMBEDDER, LLAMA, LOCAL, Found, failure, wait


def find(name: str, count: int) -> str:
    """Finds."""
    return f"{name} {count}"


async def unblocked(stream):
    """All of an asynchronous stream."""
    return [chunk.model_dump() async for chunk in stream]


def langchain(base, key, model, embedder):
    """The calls that any model can answer."""
    settings = {"base_url": f"{base}/v1", "api_key": key, "max_retries": 0}
    make = lambda **more: langchain_openai.ChatOpenAI(**{"model": model, "temperature": 0, "max_tokens": 24, **settings, **more})
    ask = [(message["role"], message["content"]) for message in ASK]
    chat = make()
    answer = chat.invoke(ask)
    assert answer.content
    yield "chat", answer.model_dump()
    chunks = list(chat.stream(ask))
    assert "".join(chunk.content for chunk in chunks) == answer.content
    yield "stream", [chunk.model_dump() for chunk in chunks]
    yield "asynchronous stream", wait(unblocked(make().astream(ask)))
    yield "batch", [message.model_dump() for message in chat.batch([ask, ask], {"max_concurrency": 1})]
    yield "response", make(use_responses_api=True).invoke(ask).model_dump()
    embeddings = langchain_openai.OpenAIEmbeddings(model=embedder, check_embedding_ctx_length=False, **settings)
    yield "embeddings", embeddings.embed_documents(["a", "b c"])
    yield "embedding", embeddings.embed_query("a")


def langchain_structured(base, key, model, methods):
    """Answers in a form. What is written is bound to it, so that even a small model keeps it."""
    chat = langchain_openai.ChatOpenAI(base_url=f"{base}/v1", api_key=key, model=model, temperature=0, max_tokens=80, max_retries=0)
    for method in methods:
        found = chat.with_structured_output(Found, method=method).invoke("Find two.")
        assert isinstance(found, Found)
        yield f"structured by {method}", found.model_dump()


def langchain_tools(base, key, model):
    """Calls of tools."""
    chat = langchain_openai.ChatOpenAI(base_url=f"{base}/v1", api_key=key, model=model, max_retries=0)
    with_tools = chat.bind_tools([find], tool_choice="required")
    called = with_tools.invoke("Find two.")
    assert called.tool_calls[0]["name"] == "find"
    yield "tools", called.model_dump()
    yield "tools stream", [chunk.model_dump() for chunk in with_tools.stream("Find two.")]


def langchain_results(base, key):
    yield from langchain(base, key, "gpt-4o", "embed")
    yield from langchain_tools(base, key, "gpt-4o")
    yield from langchain_structured(base, key, "gpt-4o", ("json_schema", "function_calling"))
    make = lambda model, **more: langchain_openai.ChatOpenAI(
        base_url=f"{base}/v1", api_key=key, model=model, max_retries=0, **more)
    for status in (400, 401, 404, 429, 500):
        yield f"error {status}", failure(lambda: make(f"error-{status}").invoke("hi"))
        yield f"error {status} of a stream", failure(lambda: list(make(f"error-{status}").stream("hi")))
    yield "slow", failure(lambda: make("slow", timeout=0.3).invoke("hi"))


def langchain_anthropic_results(base, key):
    make = lambda model, **more: langchain_anthropic.ChatAnthropic(
        base_url=base, api_key=key, model=model, max_tokens=9, max_retries=0, **more)
    chat = make("claude")
    yield "message", chat.invoke("hi").model_dump()
    yield "stream", [chunk.model_dump() for chunk in chat.stream("hi")]
    yield "asynchronous stream", wait(unblocked(make("claude").astream("hi")))
    with_tools = chat.bind_tools([find])
    yield "tools", with_tools.invoke("hi").model_dump()
    yield "tools stream", [chunk.model_dump() for chunk in with_tools.stream("hi")]
    yield "structured", chat.with_structured_output(Found).invoke("hi").model_dump()
    for status in (400, 401, 429, 529):
        yield f"error {status}", failure(lambda: make(f"error-{status}").invoke("hi"))
    yield "slow", failure(lambda: make("slow", timeout=0.3).invoke("hi"))


def langchain_local_results(base, key):
    yield from langchain(base, key, LOCAL, EMBEDDER)


def langchain_llama_results(base, key):
    yield from langchain(base, key, LLAMA, LLAMA)
    yield from langchain_structured(base, key, LLAMA, ("json_schema",))


def llamaindex_model(base, key, model, **more):
    return OpenAILike(**{"model": model, "api_base": f"{base}/v1", "api_key": key, "is_chat_model": True, "max_retries": 0,
                         "is_function_calling_model": True, "temperature": 0, "max_tokens": 24, "context_window": 8192, **more})


def llamaindex(base, key, model, embedder):
    """The calls that any model can answer."""
    chat = llamaindex_model(base, key, model)
    ask = [ChatMessage(role=message["role"], content=message["content"]) for message in ASK]
    answer = chat.chat(ask)
    assert answer.message.content
    yield "chat", answer.model_dump()
    pieces = list(chat.stream_chat(ask))
    assert pieces[-1].message.content == answer.message.content
    yield "stream", [piece.model_dump() for piece in pieces]

    async def streamed():
        return [piece.model_dump() async for piece in await llamaindex_model(base, key, model).astream_chat(ask)]

    yield "asynchronous stream", wait(streamed())
    yield "completion by chat", chat.complete("Once upon").model_dump()
    vectors = OpenAIEmbedding(model_name=embedder, api_base=f"{base}/v1", api_key=key, max_retries=0)
    yield "embeddings", vectors.get_text_embedding_batch(["a", "b c"])
    yield "embedding", vectors.get_query_embedding("a")


def llamaindex_tools(base, key, model):
    """Calls of tools, and answers in a form, which are calls of tools here."""
    chat = llamaindex_model(base, key, model, max_tokens=80)
    tool = FunctionTool.from_defaults(find)
    called = chat.chat_with_tools([tool], user_msg="Find two.", tool_required=True)
    assert chat.get_tool_calls_from_response(called)[0].tool_name == "find"
    yield "tools", called.model_dump()
    pieces = chat.stream_chat_with_tools([tool], user_msg="Find two.", tool_required=True)
    yield "tools stream", [piece.model_dump() for piece in pieces]
    found = chat.as_structured_llm(Found).chat([ChatMessage(role="user", content="Find two.")])
    assert isinstance(found.raw, Found)
    yield "structured", found.raw.model_dump()


def llamaindex_results(base, key):
    yield from llamaindex(base, key, "gpt-4o", "embed")
    yield from llamaindex_tools(base, key, "gpt-4o")
    ask = [ChatMessage(role="user", content="hi")]
    for status in (400, 401, 404, 429, 500):
        chat = llamaindex_model(base, key, f"error-{status}")
        yield f"error {status}", failure(lambda: chat.chat(ask))
        yield f"error {status} of a stream", failure(lambda: list(chat.stream_chat(ask)))
    yield "slow", failure(lambda: llamaindex_model(base, key, "slow", timeout=0.3).chat(ask))


def llamaindex_local_results(base, key):
    yield from llamaindex(base, key, LOCAL, EMBEDDER)


def llamaindex_llama_results(base, key):
    yield from llamaindex(base, key, LLAMA, LLAMA)
