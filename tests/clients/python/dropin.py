"""`whittle.llmlingua`: the examples of llmlingua's README with the import changed, and each argument."""

import ast
import importlib.metadata
import importlib.util
import pathlib
import re
import warnings

import whittle.llmlingua
from whittle.llmlingua import DifferenceWarning, NotSupportedError, PromptCompressor

from core import BRIDGE, UNICODE

KEYS = {"compressed_prompt", "origin_tokens", "compressed_tokens", "ratio", "rate", "saving"}
# A worked example of the kind that prompts for arithmetic have many of.
SHOT = ("Question: Ann bought {n} crates, each with 24 bottles of juice inside, for $9 each crate. She sold half of the bottles "
        "at $1 each and the rest in packs of four for $3 each pack. How much profit did she make in total, in dollars?\n"
        "Let's think step by step\nAnn bought {n} crates with {n} * 24 bottles in total.\n"
        "She sold half of them for $1 each, which makes {n} * 12 dollars.\nThe other half makes {n} * 3 packs, for $3 each.\n"
        "From this she took away what the crates had cost her, {n} * 9 dollars.\nThe answer is {n} * 12.\n")
PROMPT = "\n\n".join(SHOT.format(n=n) for n in range(4, 12))
MEETING = """<llmlingua, compress=False>Speaker 2:</llmlingua><llmlingua, rate=0.4> Thank you. Can we take the reports now? I believe those are items 7, nine, 12 and 30, if I am not mistaken.</llmlingua><llmlingua, compress=False>
Speaker 0:</llmlingua><llmlingua, rate=0.4> Item 7 is a report from the harbour office with a recommendation to increase the budget for repairs by $400 this year. Item 9 is a report from Councillor Reyes, who recommends to spend $12,000 on the support of the summer market. Item 12 is a letter of the library about a donation of $250 to its friends.</llmlingua><llmlingua, compress=False>
Speaker 2:</llmlingua><llmlingua, rate=0.6> We have a motion and a second by Councillor Okafor, and we would like to hear whether there are any comments from the public.</llmlingua>"""
SECTIONS = ["Speaker 2:", "\nSpeaker 0:", "\nSpeaker 2:"]


def shaped(tally, name, result, more=()):
    """What every result of llmlingua's holds."""
    tally.holds(f"{name}: keys {set(result)}", set(result) == KEYS | set(more))
    tally.holds(f"{name}: numbers", result["compressed_tokens"] <= result["origin_tokens"])
    share = 100 * result["compressed_tokens"] / max(result["origin_tokens"], 1)
    tally.holds(f"{name}: words for the numbers {result}", result["rate"] == f"{share:.1f}%"
                and re.fullmatch(r"\d+\.\dx", result["ratio"]) and re.fullmatch(r", Saving \$\d+\.\d in GPT-4\.", result["saving"]))
    return result


def served(tally, name, result, body):
    """Compares a result with what the HTTP API answers to the request that the arguments mean."""
    answer = tally.api("POST", "/v1/compress", {"tokenizer": "cl100k_base", **body})
    usage = answer["usage"]
    seen = [result["compressed_prompt"], result["origin_tokens"], result["compressed_tokens"]]
    tally.equals(name, seen, [answer["prompt"], usage["original_tokens"], usage["compressed_tokens"]])


def documents(*texts):
    return [{"text": text} for text in texts]


def readme(tally, client):
    """The examples of llmlingua's README."""
    base = {"method": "llmlingua", "options": {"marks": False, "reorder": "original", "context_budget": "+100"}}
    llm_lingua = PromptCompressor(client=client)
    result = shaped(tally, "quick start", llm_lingua.compress_prompt(PROMPT, instruction="", question="", target_token=200))
    served(tally, "quick start", result, {**base, "documents": documents(PROMPT), "target_tokens": 200})
    tally.holds("the budget is hard", result["compressed_tokens"] <= 200)

    prompt_list = [SHOT.format(n=n) for n in range(4, 9)]
    question = "How much profit did she make with 7 crates?"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = llm_lingua.compress_prompt(
            prompt_list, question=question, ratio=0.55, condition_in_question="after_condition", reorder_context="sort",
            dynamic_context_compression_ratio=0.3, condition_compare=True, context_budget="+100", rank_method="longllmlingua")
    shaped(tally, "LongLLMLingua", result)
    tally.holds("`ratio` is warned of", [str(w.message).split(":")[0] for w in caught] == ["ratio"])
    served(tally, "LongLLMLingua", result, {
        "documents": documents(*prompt_list), "question": question, "rate": 0.45, "method": "longllmlingua",
        "options": {"marks": False, "reorder": "sort", "context_budget": "+100", "rank_by": "after", "dynamic_ratio": 0.3}})
    tally.holds("the question is last", result["compressed_prompt"].endswith("\n\n" + question))

    result = shaped(tally, "structured", llm_lingua.structured_compress_prompt(MEETING, instruction="", question="", rate=0.6))
    served(tally, "structured", result, {**base, "documents": documents(MEETING), "tags": True, "rate": 0.6})
    text = re.search(r'structured_prompt = """(.*?)"""', importlib.metadata.metadata("llmlingua").get_payload(), re.S)[1]
    own = shaped(tally, "their text", llm_lingua.structured_compress_prompt(text, instruction="", question="", rate=0.5))
    served(tally, "their text", own, {**base, "documents": documents(text), "tags": True, "rate": 0.5})
    tally.holds("no tag is left and every speaker is there", "llmlingua" not in result["compressed_prompt"]
                and re.findall(r"\n?Speaker \d:", result["compressed_prompt"]) == SECTIONS)
    classifier(tally, client)


def classifier(tally, client):
    """LLMLingua-2: by another method here, for the weights of its classifier cannot be fetched without an account."""
    compressor = PromptCompressor("microsoft/llmlingua-2-xlm-roberta-large-meetingbank", use_llmlingua2=True, client=client,
                                  method="auto")
    options = {"marks": False, "reorder": "original", "context_budget": "+100", "force_words": ["?"]}
    result = compressor.compress_prompt(PROMPT, rate=0.33, force_tokens=["\n", "?"])
    shaped(tally, "LLMLingua-2", result, ["compressed_prompt_list"])
    served(tally, "LLMLingua-2", result, {"documents": documents(PROMPT), "rate": 0.33, "method": "auto", "options": options})
    tally.holds("question marks are kept", result["compressed_prompt"].count("?") == PROMPT.count("?"))
    labelled = compressor.compress_prompt_llmlingua2([BRIDGE, UNICODE], rate=0.5, return_word_label=True, word_sep="|",
                                                     label_sep="=")
    shaped(tally, "labels", labelled, ["compressed_prompt_list", "fn_labeled_original_prompt"])
    words = [word.rsplit("=", 1) for word in labelled["fn_labeled_original_prompt"].split("|")]
    tally.holds("each word has a label", {label for _, label in words} == {"0", "1"}
                and all(word in BRIDGE + UNICODE for word, _ in words))
    kept = [word for word, label in words if label == "1"]
    tally.holds("the labels are those of the prompt", all(word in labelled["compressed_prompt"] for word in kept))


def arguments(tally, client):
    """Each argument does what it says, is warned of, or is refused."""
    own = PromptCompressor(client=client)
    base = {"marks": False, "reorder": "original", "context_budget": "+100"}
    body = {"documents": documents(BRIDGE, UNICODE), "rate": 0.6, "method": "llmlingua"}
    forced = [({"force_context_ids": [1]}, {"force_documents": ["1"]}), ({"force_reserve_digit": True}, {"force_numbers": True}),
              ({"use_context_level_filter": False}, {"force_documents": ["0", "1"]}),
              ({"use_token_level_filter": False}, {"unit": "sentence"}), ({"keep_first_sentence": 1}, {"keep_first_sentences": 1}),
              ({"keep_last_sentence": 1}, {"keep_last_sentences": 1}), ({"force_tokens": ["two"]}, {"force_words": ["two"]}),
              ({"reorder_context": "two_stage"}, {"reorder": "two_stage"}), ({"context_budget": "*2"}, {"context_budget": "*2"})]
    for given, option in forced:
        served(tally, str(given), own.compress_prompt([BRIDGE, UNICODE], rate=0.6, **given), {**body, "options": {**base, **option}})
    result = own.compress_prompt([BRIDGE, UNICODE], "Answer.", "Who?", 0.6)
    served(tally, "positional", result, {**body, "instruction": "Answer.", "question": "Who?", "options": base})
    hidden = own.compress_prompt([BRIDGE, UNICODE], "Answer.", "Who?", 0.6, concate_question=False)
    tally.holds("concate_question", hidden["compressed_prompt"] + "\n\nWho?" == result["compressed_prompt"]
                and hidden["compressed_tokens"] < result["compressed_tokens"])
    sections = own.compress_prompt([BRIDGE], context_segs=[["The bridge ", "at Harbour Street is old. It is long."]],
                                   context_segs_rate=[[0.5, 0.5]], context_segs_compress=[[False, True]], rate=0.8)
    tally.holds("context_segs", sections["compressed_prompt"].startswith("The bridge "))
    served(tally, "call", own(BRIDGE, rate=0.5), {**body, "rate": 0.5, "documents": documents(BRIDGE), "options": base})
    reference = PromptCompressor(client=client, mode="reference").compress_prompt([BRIDGE, UNICODE], rate=0.6)
    served(tally, "reference", reference, {**body, "mode": "reference", "options": {"reorder": "original", "context_budget": "+100"}})
    blank(tally, own)
    refused(tally, own, client)
    tally.holds("get_token_length", own.get_token_length(BRIDGE) > 40 and own.get_token_length("") == 0)
    json_result = own.compress_json({"id": 7, "text": BRIDGE, "note": "Ünnötig."}, {
        "id": {"rate": 1, "compress": False, "value_type": "number", "pair_remove": False},
        "text": {"rate": 0.4, "compress": True, "value_type": "string", "pair_remove": False},
        "note": {"rate": 1, "compress": False, "value_type": "string", "pair_remove": True}}, rate=0.7)
    data = json_result["compressed_prompt"]
    tally.holds(f"compress_json: {data}", data["id"] == 7 and len(data["text"]) < len(BRIDGE))


def blank(tally, own):
    for context in ("", [], [" "]):
        result = shaped(tally, f"{context!r}", own.compress_prompt(context, instruction="Answer.", question="Who?"))
        tally.holds(f"{context!r}: the rest of the prompt", result["compressed_prompt"] == "Answer.\n\nWho?")
        tally.holds("nothing at all", own.compress_prompt(context)["compressed_prompt"] == "")


def refused(tally, own, client):
    for given in ({"force_context_number": 1}, {"keep_sentence_number": 1}, {"target_context": 1}, {"context_level_rate": 0.5},
                  {"context_level_target_token": 9}, {"rank_method": "nonsense"}, {"rank_method": "longllmlingua"},
                  {"reorder_context": "nonsense"}, {"rate": 1.5}):
        tally.raises(str(given), NotSupportedError, lambda: own.compress_prompt(BRIDGE, **given))
    tally.raises("an unknown argument", TypeError, lambda: own.structured_compress_prompt(BRIDGE, nonsense=1))
    tally.raises("a budget that cannot hold the question", whittle.UnprocessableEntityError,
                 lambda: own.compress_prompt(BRIDGE, question="word " * 50, target_token=20))
    fresh = PromptCompressor(client=client)
    tuning = {"iterative_size": 100, "keep_split": True, "high_priority_bonus": 5, "token_budget_ratio": 1.2,
              "add_instruction": True, "token_to_word": "first", "drop_consecutive": True, "chunk_end_tokens": ["."],
              "use_sentence_level_filter": True, "strict_preserve_uncompressed": False, "rank_method": "bm25"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            fresh.compress_prompt(BRIDGE, rate=0.5, **tuning)
    names = [re.split(r"[ :]", str(warning.message))[0] for warning in caught if warning.category is DifferenceWarning]
    tally.holds(f"each is warned of once: {names}", sorted(names) == sorted(tuning))
    tally.holds(f"the warning points to the caller: {caught[0].filename}", caught[0].filename == __file__)


def signatures(tally):
    """Every argument of the real llmlingua is an argument here, in the same place."""
    folder = pathlib.Path(importlib.util.find_spec("llmlingua").submodule_search_locations[0])
    theirs = functions((folder / "prompt_compressor.py").read_text())
    ours = functions(pathlib.Path(whittle.__file__).with_name("llmlingua.py").read_text())
    for name in ("__init__", "compress_prompt", "compress_prompt_llmlingua2"):
        count = len(theirs[name])
        tally.holds(f"{name}: {theirs[name]} is not {ours[name]}", ours[name][:count] == theirs[name])
    known = set(whittle.llmlingua._defaults()) | set(ours["structured_compress_prompt"])
    tally.holds("structured_compress_prompt", set(theirs["structured_compress_prompt"]) <= known)
    json_known = set(whittle.llmlingua._defaults()) | {"use_keyvalue_level_filter", "reorder_keyvalue", *ours["compress_json"]}
    tally.holds("compress_json", set(theirs["compress_json"]) <= json_known)


def functions(source):
    """The names of the arguments of each method of the class, as far as they can be given by place."""
    compressor = next(node for node in ast.parse(source).body
                      if isinstance(node, ast.ClassDef) and node.name == "PromptCompressor")
    return {node.name: [argument.arg for argument in node.args.args if argument.arg != "self"]
            for node in compressor.body if isinstance(node, ast.FunctionDef)}
