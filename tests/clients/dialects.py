"""What the official Python clients of Gemini, Ollama, Azure and Cohere see."""

import cohere
import ollama
import openai
from google import genai
from google.genai import types

from common import TOOL, Found, failure

# Those that the upstream speaks at its root.
ALL = ("gemini", "ollama", "azure", "cohere")
SAY = "h\u00e9llo"


def gemini_results(base, key):
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base))
    say = {"model": "gemini-2.5-pro", "contents": SAY}
    answer = client.models.generate_content(**say)
    assert answer.usage_metadata.prompt_token_count == 5
    # Headers of one answer alone are no part of what it says.
    plain = lambda answer: answer.model_dump(exclude={"sdk_http_response"})
    yield "contents", plain(answer)
    yield "stream", [plain(chunk) for chunk in client.models.generate_content_stream(**say)]
    find = types.FunctionDeclaration(name=TOOL["name"], description=TOOL["description"])
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[find])], system_instruction="Be brief.",
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    called = client.models.generate_content(**say, config=config)
    assert called.function_calls[0].name == "find"
    yield "tools", plain(called)
    result = types.Part.from_function_response(name="find", response={"output": "found"})
    turns = [types.Content(role="user", parts=[types.Part(text=SAY)]), called.candidates[0].content,
             types.Content(role="user", parts=[result])]
    yield "result", plain(client.models.generate_content(model=say["model"], contents=turns))
    yield "count", plain(client.models.count_tokens(**say))
    yield "embedding", plain(client.models.embed_content(**say))
    yield "models", [model.model_dump() for model in client.models.list()]
    chat = client.chats.create(model=say["model"])
    yield "chat", [plain(chat.send_message(text)) for text in ("a", "b")]
    for status in (400, 401, 404, 429, 500):
        yield f"error {status}", failure(lambda: client.models.generate_content(model=f"error-{status}", contents=SAY))


def ollama_results(base, key):
    client = ollama.Client(host=base, headers={"authorization": f"Bearer {key}"})
    say = {"model": "llama3", "messages": [{"role": "user", "content": SAY, "images": [b"i"]}]}
    answer = client.chat(**say)
    assert (answer.prompt_eval_count, answer.eval_count) == (5, 3)
    yield "chat", answer.model_dump()
    yield "stream", [chunk.model_dump() for chunk in client.chat(**say, stream=True)]
    called = client.chat(**say, tools=[{"type": "function", "function": TOOL}])
    assert called.message.tool_calls[0].function.name == "find"
    yield "tools", called.model_dump()
    turns = [*say["messages"], called.message, {"role": "tool", "tool_name": "find", "content": "found"}]
    yield "result", client.chat(model="llama3", messages=turns).model_dump()
    yield "generate", client.generate(model="llama3", prompt=SAY).model_dump()
    yield "generate stream", [chunk.model_dump() for chunk in client.generate(model="llama3", prompt=SAY, stream=True)]
    yield "embed", client.embed(model="llama3", input=[SAY]).model_dump()
    yield "models", [model.model_dump() for model in client.list().models]
    yield "show", client.show("llama3").model_dump()
    for status in (400, 401, 404, 500):
        yield f"error {status}", failure(lambda: client.chat(model=f"error-{status}", messages=say["messages"]))
    yield "error in a stream", failure(lambda: list(client.chat(model="error-404", messages=[], stream=True)))


def azure_results(base, key):
    client = openai.AzureOpenAI(azure_endpoint=base, api_key=key, api_version="2024-10-21", max_retries=0)
    say = [{"role": "user", "content": SAY}]
    chat = client.chat.completions.create
    yield "chat", chat(model="gpt-4o", messages=say).model_dump()
    yield "stream", [chunk.model_dump() for chunk in chat(model="gpt-4o", messages=say, stream=True)]
    tools = [{"type": "function", "function": TOOL}]
    yield "tools", chat(model="gpt-4o", messages=say, tools=tools).model_dump()
    structured = client.chat.completions.parse(model="gpt-4o", messages=say, response_format=Found)
    yield "structured", structured.model_dump(warnings=False)
    yield "response", client.responses.create(model="gpt-4o", input="hi").model_dump()
    yield "embeddings", client.embeddings.create(model="embed", input=["a", "bc"]).model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    deployed = openai.AzureOpenAI(
        azure_endpoint=base, azure_deployment="own", api_key=key, api_version="2024-10-21", max_retries=0)
    yield "deployment", deployed.chat.completions.create(model="gpt-4o", messages=say).model_dump()
    newest = openai.OpenAI(base_url=f"{base}/openai/v1/", api_key=key, max_retries=0)
    yield "without a version", newest.chat.completions.create(model="gpt-4o", messages=say).model_dump()
    for status in (400, 401, 404, 429, 500):
        yield f"error {status}", failure(lambda: chat(model=f"error-{status}", messages=say))


def cohere_results(base, key):
    client = cohere.ClientV2(api_key=key, base_url=base)
    say = {"model": "command-a", "messages": [{"role": "user", "content": SAY}]}
    once = {"max_retries": 0}
    answer = client.chat(**say)
    assert answer.usage.billed_units.input_tokens == 5
    yield "chat", answer.model_dump()
    yield "stream", [event.model_dump() for event in client.chat_stream(**say)]
    called = client.chat(**say, tools=[{"type": "function", "function": TOOL}])
    assert called.message.tool_calls[0].function.name == "find"
    yield "tools", called.model_dump()
    result = {"role": "tool", "tool_call_id": "call_1",
              "content": [{"type": "document", "document": {"id": "d", "data": "found"}}]}
    turns = [*say["messages"], {"role": "assistant", "tool_calls": called.message.tool_calls, "tool_plan": "Look."}, result]
    yield "result", client.chat(model="command-a", messages=turns).model_dump()
    documents = ["a", {"id": "b", "data": {"title": "T", "text": "c"}}]
    yield "documents", client.chat(**say, documents=documents).model_dump()
    vectors = client.embed(model="embed", texts=["a"], input_type="search_query", embedding_types=["float"])
    yield "embed", vectors.model_dump()
    yield "rerank", client.rerank(model="rerank", query="q", documents=["a", "b"]).model_dump()
    yield "models", client.models.list().model_dump()
    for status in (400, 401, 404, 429, 500):
        say["model"] = f"error-{status}"
        yield f"error {status}", failure(lambda: client.chat(**say, request_options=once))
