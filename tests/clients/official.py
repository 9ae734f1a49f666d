"""What the official Python clients of `OpenAI` and Anthropic see."""

import anthropic
import openai

from common import ASK, BYPASS, EMBEDDER, LLAMA, LOCAL, LONG, TOOL, Found, failure, wait


async def events(create):
    """All events of an asynchronous stream."""
    return [event.model_dump() async for event in await create]


def openai_results(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    say = [{"role": "user", "content": "h\u00e9llo"}]
    chat = client.chat.completions.create
    yield "chat", chat(model="gpt-4o", messages=say, temperature=1.0).model_dump()
    yield "stream", [c.model_dump() for c in chat(model="gpt-4o", messages=say, stream=True)]
    unblocked = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    create = unblocked.chat.completions.create(model="gpt-4o", messages=say, stream=True)
    yield "asynchronous stream", wait(events(create))
    tools = [{"type": "function", "function": TOOL}]
    yield "tools", chat(model="gpt-4o", messages=say, tools=tools).model_dump()
    yield "tools stream", [c.model_dump() for c in chat(model="gpt-4o", messages=say, tools=tools, stream=True)]
    structured = client.chat.completions.parse(model="gpt-4o", messages=say, response_format=Found)
    assert structured.choices[0].message.parsed == Found(name="a", count=2)
    yield "structured", structured.model_dump(warnings=False)
    yield "response", client.responses.create(model="gpt-4o", input="hi").model_dump()
    yield "response stream", [e.model_dump() for e in client.responses.create(model="gpt-4o", input="hi", stream=True)]
    yield "embeddings", client.embeddings.create(model="embed", input=["a", "bc"]).model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    for status in (400, 401, 403, 404, 422, 429):
        yield f"error {status}", failure(lambda: chat(model=f"error-{status}", messages=say))
    yield "error 500", failure(lambda: chat(model="error-500", messages=say))
    yield "timeout", failure(lambda: chat(model="slow", messages=say, timeout=0.3))


def anthropic_results(base, key):
    client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
    say = {"max_tokens": 9, "messages": [{"role": "user", "content": "h\u00e9llo"}]}
    create = client.messages.create
    yield "message", create(model="claude", **say).model_dump()
    yield "stream", [event.model_dump() for event in create(model="claude", stream=True, **say)]
    unblocked = anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0)
    yield "asynchronous stream", wait(events(unblocked.messages.create(model="claude", stream=True, **say)))
    tools = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    yield "tools", create(model="claude", tools=tools, **say).model_dump()
    yield "tools stream", [event.model_dump() for event in create(model="claude", tools=tools, stream=True, **say)]
    yield "count", client.messages.count_tokens(model="claude", messages=say["messages"]).model_dump()
    for status in (400, 401, 404, 429, 529):
        yield f"error {status}", failure(lambda: create(model=f"error-{status}", **say))
    yield "timeout", failure(lambda: create(model="slow", timeout=0.3, **say))


def local_openai_results(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    create = client.chat.completions.create
    chat = lambda **more: create(**{"model": LOCAL, "messages": ASK, "max_completion_tokens": 24, **more})
    answer = chat()
    assert "Paris" in answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 2
    yield "chat", answer.model_dump()
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (text, chunks[-1].usage) == (answer.choices[0].message.content, answer.usage)
    yield "stream", [chunk.model_dump() for chunk in chunks]
    unblocked = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    call = unblocked.chat.completions.create(model=LOCAL, messages=ASK, stream=True, max_tokens=4)
    yield "asynchronous stream", wait(events(call))
    yield "sampled", chat(temperature=1.2, top_p=0.9, seed=7).model_dump()
    stopped = chat(stop=["Paris"])
    assert "Paris" not in stopped.choices[0].message.content and stopped.choices[0].finish_reason == "stop"
    yield "stop", stopped.model_dump()
    no_tools = chat(tools=[{"type": "function", "function": TOOL}], tool_choice="none")
    yield "tools that none may call", no_tools.model_dump()
    yield "completion", client.completions.create(model=LOCAL, prompt="Once upon", max_tokens=8).model_dump()
    yield "completion stream", [
        c.model_dump() for c in client.completions.create(model=LOCAL, prompt="Once upon", max_tokens=8, stream=True)]
    respond = lambda **more: client.responses.create(**{"model": LOCAL, "input": ASK, "max_output_tokens": 24, **more})
    response = respond()
    assert (response.status, response.output_text) == ("completed", answer.choices[0].message.content)
    yield "response", response.model_dump()
    yield "response to a text", respond(input="Hi", instructions="Be brief.", max_output_tokens=3).model_dump()
    with client.responses.stream(model=LOCAL, input=ASK, max_output_tokens=24) as stream:
        seen = [event.model_dump(warnings=False) for event in stream]
        assert stream.get_final_response().output_text == response.output_text
    yield "response stream", seen
    yield "models", [model.model_dump() for model in client.models.list()]
    yield "embeddings", client.embeddings.create(model=EMBEDDER, input=["a", "b c"]).model_dump()
    yield "unknown model", failure(lambda: chat(model="local/other"))
    yield "tools", failure(lambda: chat(tools=[{"type": "function", "function": TOOL}]))
    yield "structured", failure(lambda: chat(response_format={"type": "json_object"}))
    yield "several", failure(lambda: chat(n=2))
    yield "too long", failure(lambda: chat(max_completion_tokens=100_000, stream=True))


def local_anthropic_results(base, key):
    client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
    say = {"model": LOCAL, "system": ASK[0]["content"], "messages": ASK[1:]}
    create = lambda **more: client.messages.create(**{**say, "max_tokens": 24, **more})
    message = create()
    assert "Paris" in message.content[0].text and message.stop_reason == "end_turn"
    yield "message", message.model_dump()
    yield "stream", [event.model_dump() for event in create(stream=True)]
    with client.messages.stream(max_tokens=24, **say) as stream:
        assert stream.get_final_message().content[0].text == message.content[0].text
    unblocked = anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0)
    yield "asynchronous stream", wait(events(unblocked.messages.create(max_tokens=3, stream=True, **say)))
    stopped = create(stop_sequences=["Paris"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Paris")
    yield "stop", stopped.model_dump()
    count = client.messages.count_tokens(**say)
    assert count.input_tokens == message.usage.input_tokens
    yield "count", count.model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    tools = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    yield "tools", failure(lambda: create(tools=tools))
    yield "unknown model", failure(lambda: create(model="local/other"))
    yield "too long", failure(lambda: create(max_tokens=8_190))


def llama_openai_results(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    create = client.chat.completions.create
    chat = lambda **more: create(**{"model": LLAMA, "messages": ASK, "max_tokens": 24, "temperature": 0, **more})
    answer = chat()
    assert len(answer.choices[0].message.content) > 9
    yield "chat", answer.model_dump()
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer.choices[0].message.content
    yield "stream", [chunk.model_dump() for chunk in chunks]
    unblocked = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    call = unblocked.chat.completions.create(model=LLAMA, messages=ASK, stream=True, max_tokens=4, temperature=0)
    yield "asynchronous stream", wait(events(call))
    # The model was never taught to call them.
    yield "tools", chat(tools=[{"type": "function", "function": TOOL}]).model_dump()
    structured = client.chat.completions.parse(model=LLAMA, messages=ASK, response_format=Found, temperature=0, max_tokens=80)
    assert structured.choices[0].message.parsed.count >= 0
    yield "structured", structured.model_dump(warnings=False)
    completion = {"model": LLAMA, "prompt": "Once upon", "max_tokens": 8, "temperature": 0}
    yield "completion", client.completions.create(**completion).model_dump()
    yield "completion stream", [c.model_dump() for c in client.completions.create(stream=True, **completion)]
    respond = {"model": LLAMA, "input": ASK[1:], "max_output_tokens": 8, "temperature": 0}
    yield "response", client.responses.create(**respond).model_dump(warnings=False)
    yield "response stream", [e.model_dump(warnings=False) for e in client.responses.create(stream=True, **respond)]
    vectors = client.embeddings.create(model=LLAMA, input=["a", "b c"])
    assert len(vectors.data) == 2 and len(vectors.data[0].embedding) == 576
    yield "embeddings", vectors.model_dump()
    yield "unreadable", failure(lambda: chat(messages=7))
    yield "too long", failure(lambda: chat(messages=LONG, extra_headers=BYPASS))


def llama_anthropic_results(base, key):
    client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
    say = {"model": LLAMA, "system": ASK[0]["content"], "messages": ASK[1:]}
    # This client has no parameter for the temperature any more.
    create = lambda **more: client.messages.create(**{**say, "max_tokens": 24, "extra_body": {"temperature": 0}, **more})
    message = create()
    assert len(message.content[0].text) > 9
    yield "message", message.model_dump()
    yield "stream", [event.model_dump() for event in create(stream=True)]
    yield "count", client.messages.count_tokens(**say).model_dump()
    yield "too long", failure(lambda: create(messages=LONG, extra_headers=BYPASS))
