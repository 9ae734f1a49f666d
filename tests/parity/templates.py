"""Makes templates.json: chat templates that use what those of model families use, and what `transformers` renders of
conversations with them.

Run it in an environment with transformers and jinja2: python3 templates.py
"""
import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

SYSTEM = {"role": "system", "content": "  Be brief.\n"}
USER = {"role": "user", "content": "\n How high is the lighthouse? \n"}
ANSWER = {"role": "assistant", "content": "41 metres. "}
THANKS = {"role": "user", "content": "<b>Thanks</b> & \"bye\""}
CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ANSWER, THANKS], [SYSTEM, USER, ANSWER, THANKS], [SYSTEM, USER, THANKS]]
TEMPLATES = {
    "default system message": """{% for message in messages %}
{% if loop.first and message.role != 'system' %}
{{ bos_token + 'system\\nYou help.' + eos_token }}

{% endif %}
{{ bos_token + message['role'] }}
{{ message['content'] + eos_token }}
{% endfor %}
{% if add_generation_prompt %}{{ bos_token }}assistant
{% endif %}""",
    "system folded into the first turn, roles renamed": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] | trim + '\\n\\n' -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}
    {%- set rest = messages -%}
{%- endif -%}
{%- for message in rest -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("roles must take turns") }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<turn>' + role + '\\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {{ 'a list' }}
    {%- endif -%}
    {{ '</turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<turn>model\\n' }}{%- endif -%}""",
    "instructions in brackets": """{%- if messages[0].role == "system" %}
    {%- set system = messages[0].content %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages if message.role in ('user', 'assistant') %}
    {%- if (message.role == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('turns') }}{%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message.role == "user" %}
        {%- if loop.last and system is defined %}
            {{- "[INST] " + system + "\\n\\n" + message.content + "[/INST]" }}
        {%- else %}
            {{- "[INST] " ~ message.content ~ "[/INST]" }}
        {%- endif %}
    {%- elif message.role == "assistant" %}
        {{- " " + message.content.strip() + eos_token }}
    {%- else %}
        {{- raise_exception("only user and assistant") }}
    {%- endif %}
{%- endfor %}""",
    "tools and date": """{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{{- "<|head|>" }}
{%- if tools is not none %}{{- "tools\\n" }}{%- endif %}
{{- "date: " ~ date_string | length ~ "\\n" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif message.tool_calls %}
        {{- 'calls' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}""",
    "macros": """{% macro turn(role, content='', end=true) -%}
<{{ role }}>{{ content }}{% if end %}</{{ role }}>{% endif %}
{%- endmacro %}
{% for message in messages %}
{{ turn(message.role, content=message.content) }}
{% endfor %}
{{ turn('assistant', end=false) }}""",
    "loop controls and neighbours": """{%- for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {{- loop.index ~ '/' ~ loop.length ~ ' ' ~ loop.revindex0 ~ ' ' }}
    {%- if loop.previtem is defined and loop.previtem.role == 'user' %}{{ 'after a user ' }}{% endif %}
    {%- if loop.nextitem is undefined %}{{ 'the last ' }}{% endif %}
    {{- message.content }}
{%- endfor %}
{%- for i in range(10) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% else %}none{% endfor %}
{{- messages[0].content if messages[0].role == 'system' }}""",
    "methods of texts": """{%- set text = '  One two,  three  ' %}
[{{ text.strip() }}][{{ text.lstrip() }}][{{ text.rstrip() }}][{{ 'xxaxx'.strip('x') }}]
{{ text.split() }} {{ 'a</think>b</think>c'.split('</think>')[-1].lstrip('\\n') }} {{ 'a,b,c'.split(',', 1)[1] }} {{ 'a,b,c'.rsplit(',', 1)[0] }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.startswith('b') }} {{ 'aXbX'.replace('X', '-') }}
{{ 'mixed Case'.upper() }} {{ 'MIXED'.lower() }} {{ 'two words'.title() }} {{ 'two Words'.capitalize() }}
{{ 'abcb'.find('b') }} {{ 'abcb'.find('z') }} {{ 'abcb'.rfind('b') }} {{ 'abcb'.count('b') }} {{ ', '.join(['a', 'b']) }} {{ '12'.isdigit() }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'a\\nb'.splitlines() | length }}
{%- for message in messages %}
{{ message.content.strip() }}|{{ message.content | trim }}|{{ message['content'].rstrip('\\n') | length > 0 }}
{%- endfor %}""",
    "values": """{{ none }} {{ true }} {{ false }} {{ 1.0 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 4 }} {{ 2 ** 3 }} {{ missing }}|{{ missing | default('d') }}
{{ ['a', 'b'] }} {{ {'k': 1, 'a': none} }} {{ 'x' * 3 }} {{ [1] + [2, 3] }} {{ [1, 2, 3][::-1] }} {{ [1, 2, 3][:-1] }} {{ 'abc'[1:] }} {{ 'abc'[-1] }}
{{ 'yes' if missing else 'no' }} {{ missing is defined }} {{ none is none }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ 3 is odd }} {{ 'a' not in ['b'] }} {{ 1 is number }} {{ true is boolean }} {{ 'x' is in 'xy' }}
{%- set roles = messages | map(attribute='role') | list %} {{ roles | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ (messages | first).role }} {{ (messages | last).role }} {{ roles | unique | sort | join }}
{%- for key, value in {'b': 1, 'a': 2}.items() %} {{ key }}={{ value }}{% endfor %} {{ {'b': 1}.get('c', 5) }} {{ {'b': 1}.get('c') }} {{ {'b': 1, 'a': 2}.keys() | list }} {{ messages[0].get('role') }}
{{ namespace(a=1).a }} {{ 'A: %s' | format('b') }} {{ 'a b' | title }} {{ ' x ' | trim }} {{ 3.7 | int }} {{ 'tt' | replace('t', 'u') }} {{ 'line' | indent(2, true) }} {{ [3, 1] | sort }} {{ {'z': 1, 'y': 2} | dictsort }}
{% for message in messages %}{{ message.content }}{% endfor %}""",
    "json": """{{ {'name': 'f', 'é': ['<a>', "it's", none, true, 1, 1.5, {}], 'x': {'b': []}} | tojson }}
{{ [1, {'a': 'b\\n"c"'}, [], {'k': [2]}] | tojson(indent=2) }}
{% for message in messages %}{{ message.role | tojson }}{{ message.content }}{% endfor %}""",
    "white space": """  {% if true %}
    kept
  {% endif %}
line {# a comment #} end
  {# a comment alone #}
{%- if true -%}   stripped   {%- endif -%}

{{ 'a' -}}
   b
{%+ if true %} plus {% endif %}
{% for message in messages -%}
    {{ message.content }}
{%- endfor %}
{% set block %}
set {{ messages[0].role }}
{% endset %}
[{{ block }}]
{% raw %}{{ raw }}{% endraw %}
{% filter upper %}filtered{% endfilter %}
""",
    "generation": """{% for message in messages %}{% if message.role == 'assistant' %}
{%- generation -%}
  {{ message.content }}{% set inner = 1 %}
{% endgeneration %}
{{ inner is defined }}{% else %}{{ message.role }}: {{ message.content }}
{% endif %}{% endfor %}""",
    "last question": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set reasoning_content = '' %}
    {%- if message.reasoning_content is string %}
        {%- set reasoning_content = message.reasoning_content %}
    {%- endif %}
    {%- if loop.index0 > ns.last_query_index %}late {% endif %}
    {%- if message.role == "assistant" and reasoning_content %}{{- '<think>' }}{% endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content.strip('\\n') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "calls refused": """{{ messages[0].content.nothing() }}""",
    "arithmetic refused": """{{ 1 + 'a' }}{{ messages[0].content }}""",
}


def rendered(template, messages):
    try:
        return render_jinja_template(
            conversations=[messages], chat_template=template, add_generation_prompt=True,
            bos_token="<|im_start|>", eos_token="<|im_end|>",
        )[0][0]
    except Exception as error:
        print("  refused:", type(error).__name__, error)
        return None


def main():
    goldens = []
    for name, template in TEMPLATES.items():
        print(name)
        conversations = [{"messages": m, "rendered": rendered(template, m)} for m in CONVERSATIONS]
        goldens.append({"name": name, "template": template, "conversations": conversations})
    text = json.dumps(goldens, ensure_ascii=False, indent=1)
    (Path(__file__).parent / "templates.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
