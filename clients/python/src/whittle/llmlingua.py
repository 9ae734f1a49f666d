"""A stand-in for `llmlingua`: change the import, keep the program.

    from whittle.llmlingua import PromptCompressor

    compressor = PromptCompressor()
    result = compressor.compress_prompt(texts, question="Who signed?", target_token=200)

The service does the work; no model is loaded here. Every argument of llmlingua 0.2.2 is accepted. One that cannot be
served is refused with `NotSupportedError`; one that would only tune how llmlingua works is answered with a
`DifferenceWarning`, once. The package's README has a table of all differences.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from . import models
from .client import Client
from .errors import WhittleError

# llmlingua counts with the tokenizer of gpt-3.5-turbo, and these dollars for 1,000 tokens.
TOKENIZER, DOLLARS = "cl100k_base", 0.06
DEFAULT_MODEL = "NousResearch/Llama-2-7b-hf"
# Arguments that tune how llmlingua works, with its defaults, and why they change nothing here.
_TUNING: dict[str, tuple[Any, str]] = {
    "iterative_size": (200, "the service chooses its own batches"),
    "use_sentence_level_filter": (False, "sentences and words are chosen together"),
    "keep_split": (False, "documents stay separated by blank lines"),
    "high_priority_bonus": (100, "what must be kept is kept, whatever its score"),
    "token_budget_ratio": (1.4, "sentences and words are chosen together"),
    "add_instruction": (False, "the likelihood of words is taken without the instruction"),
    "token_to_word": ("mean", "words are scored as wholes"),
    "drop_consecutive": (False, "forced words are kept wherever they stand"),
    "chunk_end_tokens": ([".", "\n"], "texts are divided at sentences"),
    "strict_preserve_uncompressed": (True, "sections with `compress=False` are always kept whole"),
}
# Arguments that promise something the service cannot do, with their defaults, and what to use instead.
_REFUSED: dict[str, tuple[Any, str]] = {
    "force_context_number": (None, "name the contexts in force_context_ids"),
    "keep_sentence_number": (0, "use keep_first_sentence, keep_last_sentence or force_tokens"),
    "target_context": (-1, "use target_token, or force_context_ids"),
    "context_level_rate": (1.0, "use rate or context_budget"),
    "context_level_target_token": (-1, "use target_token or context_budget"),
}
_RANKED_BY = {"llmlingua": "llmlingua", "longllmlingua": "longllmlingua"}
# Rankers of llmlingua whose place the service's own embedder with BM25 takes.
_OTHER_RANKERS = frozenset({"bm25", "gzip", "sentbert", "openai", "bge", "bge_reranker", "bge_llmembedder", "jinza",
                            "voyageai", "cohere"})
_REORDERS = ("original", "sort", "two_stage")
_TAG = re.compile(r"</?llmlingua\b")


class NotSupportedError(WhittleError, ValueError):
    """An argument of llmlingua's that the service cannot serve."""


class DifferenceWarning(UserWarning):
    """An argument of llmlingua's that changes nothing here."""


class PromptCompressor:
    """Compresses prompts by a service of whittle, with llmlingua's methods.

    Args:
        model_name: Accepted and not used: the service has its own models.
        device_map: Accepted and not used.
        model_config: Accepted and not used.
        open_api_config: Accepted and not used.
        use_llmlingua2: Whether to use the token classifier, whose weights the service must have.
        llmlingua2_config: Accepted and not used.
        client: The client of the service; by default one of `http://127.0.0.1:8787`.
        method: A method of whittle for all calls, such as `auto`; by default the one that `rank_method` and
            `use_llmlingua2` name.
        mode: `exact`, the default, or `reference`, which keeps llmlingua's defects for comparisons.
        marks: Whether marks such as `[12 lines left out]` stand for what was left out.
    """

    def __init__(self, model_name: str = DEFAULT_MODEL, device_map: str = "cuda",
                 model_config: Mapping[str, Any] | None = None, open_api_config: Mapping[str, Any] | None = None,
                 use_llmlingua2: bool = False, llmlingua2_config: Mapping[str, Any] | None = None, *,
                 client: Client | None = None, method: models.Method | None = None, mode: models.Mode | None = None,
                 marks: bool = False) -> None:
        self.model_name, self.use_llmlingua2 = model_name, use_llmlingua2
        self.client = client or Client()
        self.method, self.mode, self.marks = method, mode, marks
        self._warned: set[str] = set()
        if model_name != DEFAULT_MODEL or model_config or open_api_config or llmlingua2_config:
            self._warn("model_name", "the models are those of the service, not the ones that are named here")

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self.compress_prompt(*args, **kwargs)

    def compress_prompt(
        self, context: str | Sequence[str], instruction: str = "", question: str = "", rate: float = 0.5,
        target_token: float = -1, iterative_size: int = 200, force_context_ids: Sequence[int] | None = None,
        force_context_number: int | None = None, use_sentence_level_filter: bool = False,
        use_context_level_filter: bool = True, use_token_level_filter: bool = True, keep_split: bool = False,
        keep_first_sentence: int = 0, keep_last_sentence: int = 0, keep_sentence_number: int = 0,
        high_priority_bonus: int = 100, context_budget: str = "+100", token_budget_ratio: float = 1.4,
        condition_in_question: str = "none", reorder_context: str = "original",
        dynamic_context_compression_ratio: float = 0.0, condition_compare: bool = False, add_instruction: bool = False,
        rank_method: str = "llmlingua", concate_question: bool = True,
        context_segs: Sequence[Sequence[str]] | None = None,
        context_segs_rate: Sequence[Sequence[float]] | None = None,
        context_segs_compress: Sequence[Sequence[bool]] | None = None, target_context: int = -1,
        context_level_rate: float = 1.0, context_level_target_token: int = -1, return_word_label: bool = False,
        word_sep: str = "\t\t|\t\t", label_sep: str = " ", token_to_word: str = "mean",
        force_tokens: Sequence[str] = (), force_reserve_digit: bool = False, drop_consecutive: bool = False,
        chunk_end_tokens: Sequence[str] = (".", "\n"), strict_preserve_uncompressed: bool = True, *,
        ratio: float | None = None,
    ) -> dict[str, Any]:
        """Compresses a context to `rate` of the tokens of the whole prompt, or to `target_token` tokens.

        Args:
            context: The text, or several, which are ranked and joined by blank lines.
            instruction: Kept whole, first.
            question: Kept whole, last.
            rate: The share of the tokens of the whole prompt that is kept at most.
            target_token: The most tokens of the whole prompt; -1 leaves it to `rate`.
            force_context_ids: The places of texts of which something is kept whatever their rank.
            use_context_level_filter: `False` keeps something of every text.
            use_token_level_filter: `False` keeps or drops whole sentences.
            keep_first_sentence: Sentences at the start of each text that are kept.
            keep_last_sentence: Sentences at the end of each text that are kept.
            context_budget: The budget for the choice of texts, such as `+100` or `*1.5`.
            condition_in_question: `before` or `after`, for `longllmlingua`.
            reorder_context: `original`, `sort` or `two_stage`.
            dynamic_context_compression_ratio: How much more the best texts keep, for `longllmlingua`.
            rank_method: `llmlingua`, `longllmlingua`, or another of llmlingua's, for which `hybrid` is used.
            concate_question: `False` leaves the question out of the result.
            context_segs: The sections of each text, with `context_segs_rate` and `context_segs_compress`.
            return_word_label: Whether to return `fn_labeled_original_prompt`.
            word_sep: Stands between its words.
            label_sep: Stands between a word and its label.
            force_tokens: Words and signs that are kept wherever they stand.
            force_reserve_digit: Whether to keep every word with a digit in it.
            ratio: The share to remove, as in versions of llmlingua before 0.2, whose README still shows it.

        The other arguments change nothing here or are refused; see the README.
        """
        arguments = locals()
        self._refuse(arguments)
        if not rate <= 1.0:
            raise NotSupportedError("'rate' must not exceed 1.0: it is the share of the tokens that is kept")
        if ratio is not None:
            self._warn("ratio", "the share to remove was replaced by `rate`, the share to keep, in llmlingua 0.2")
            rate = 1.0 - ratio
        if self.use_llmlingua2:
            return self._classified(
                context, rate, target_token, use_context_level_filter=use_context_level_filter,
                use_token_level_filter=use_token_level_filter, force_context_ids=force_context_ids,
                labels=(word_sep, label_sep) if return_word_label else None, force_tokens=force_tokens,
                force_reserve_digit=force_reserve_digit)
        if rank_method == "longllmlingua" and not question:
            raise NotSupportedError("longllmlingua needs a question")
        texts, tagged = _texts(context), False
        if context_segs is not None:
            texts, tagged = _tagged(context_segs, context_segs_rate, context_segs_compress, rate), True
        options = self._options(arguments, len(texts))
        method = self._method(rank_method, bool(question))
        if method == "longllmlingua":
            options["rank_by"] = "before" if condition_in_question.startswith("before") else "after"
            if dynamic_context_compression_ratio:
                options["dynamic_ratio"] = dynamic_context_compression_ratio
        elif dynamic_context_compression_ratio or condition_compare or condition_in_question not in ("none", "after"):
            self._warn("condition_in_question", "conditions and dynamic ratios are for rank_method='longllmlingua'")
        return self._compress(texts, instruction, question, rate, target_token, method, options, tags=tagged,
                              question_shown=concate_question, labels=(word_sep, label_sep) if return_word_label else None)

    def structured_compress_prompt(self, context: str | Sequence[str], instruction: str = "", question: str = "",
                                   rate: float = 0.5, target_token: float = -1, **arguments: Any) -> dict[str, Any]:
        """Compresses texts with tags: `<llmlingua, rate=0.4>text</llmlingua>`, `<llmlingua, compress=False>text</llmlingua>`.

        Takes the arguments of `compress_prompt`. `rate` or `target_token` bounds the whole prompt, whatever the rates of
        the sections are.
        """
        known = {name: arguments.get(name, default) for name, default in _defaults().items()}
        unknown = set(arguments) - set(known)
        if unknown:
            raise TypeError(f"structured_compress_prompt has no argument {', '.join(sorted(unknown))}")
        self._refuse(known)
        texts = _texts(context)
        options = self._options(known, len(texts))
        method = self._method(known["rank_method"], bool(question))
        if method == "longllmlingua" and not question:
            raise NotSupportedError("longllmlingua needs a question")
        if method == "longllmlingua":
            options["rank_by"] = "before" if known["condition_in_question"].startswith("before") else "after"
        return self._compress(texts, instruction, question, rate, target_token, method, options, tags=True,
                              question_shown=known["concate_question"])

    def compress_prompt_llmlingua2(
        self, context: str | Sequence[str], rate: float = 0.5, target_token: int = -1,
        use_context_level_filter: bool = False, use_token_level_filter: bool = True, target_context: int = -1,
        context_level_rate: float = 1.0, context_level_target_token: int = -1,
        force_context_ids: Sequence[int] = (), return_word_label: bool = False, word_sep: str = "\t\t|\t\t",
        label_sep: str = " ", token_to_word: str = "mean", force_tokens: Sequence[str] = (),
        force_reserve_digit: bool = False, drop_consecutive: bool = False,
        chunk_end_tokens: Sequence[str] = (".", "\n"),
    ) -> dict[str, Any]:
        """Compresses a context by the token classifier, without instruction and question. Has also
        `compressed_prompt_list`, a text for each context."""
        self._refuse(locals())
        return self._classified(
            context, rate, target_token, use_context_level_filter=use_context_level_filter,
            use_token_level_filter=use_token_level_filter, force_context_ids=force_context_ids,
            labels=(word_sep, label_sep) if return_word_label else None, force_tokens=force_tokens,
            force_reserve_digit=force_reserve_digit)

    def compress_json(self, json_data: Mapping[str, Any], json_config: Mapping[str, Mapping[str, Any]],
                      instruction: str = "", question: str = "", rate: float = 0.5, target_token: float = -1,
                      **arguments: Any) -> dict[str, Any]:
        """Makes strings of a JSON object smaller by the rules of their keys. `compressed_prompt` is the object.

        Args:
            json_data: The object.
            json_config: For each key `rate`, `compress` and `pair_remove`, as llmlingua has them; a path of a YAML file is
                refused.
            instruction: Counts towards the budget.
            question: What the values are ranked by.
            rate: The share of the tokens that is kept at most.
            target_token: The most tokens; -1 leaves it to `rate`.
        """
        if not isinstance(json_config, Mapping):
            raise NotSupportedError("json_config is a dictionary; read the file first")
        if set(json_data) != set(json_config):
            raise NotSupportedError("the keys of json_data and json_config differ")
        known = {**_defaults(), "use_keyvalue_level_filter": False, "reorder_keyvalue": "original"}
        unknown = set(arguments) - set(known)
        if unknown:
            raise TypeError(f"compress_json has no argument {', '.join(sorted(unknown))}")
        self._refuse({**known, **arguments})
        rules = {key: {"rate": rule.get("rate"), "compress": rule.get("compress", True),
                       "removable": rule.get("pair_remove", False)} for key, rule in json_config.items()}
        request: dict[str, Any] = {"json_": {"text": json.dumps(json_data, ensure_ascii=False), "keys": rules}}
        response = self.client.compress(**request, **self._budget(rate, target_token), tokenizer=TOKENIZER,
                                        method=self.method or "auto", **_given(instruction=instruction, question=question))
        result = _result(response.prompt, response.usage.original_tokens, response.usage.compressed_tokens)
        result["compressed_prompt"] = json.loads(response.documents[0].text)
        return result

    def get_token_length(self, text: str, add_special_tokens: bool = True, use_oai_tokenizer: bool = False) -> int:
        """Returns the number of tokens of a text, counted with the tokenizer of gpt-3.5-turbo."""
        if not text.strip():
            return 0
        return self.client.compress(text, rate=1.0, tokenizer=TOKENIZER).usage.original_tokens

    def recover(self, original_prompt: str, compressed_prompt: str, response: str) -> str:
        """Refused: the service restores an answer by the ranges that it kept, see `Client.recover`."""
        raise NotSupportedError("use Client.compress and Client.recover, which know the ranges that were kept")

    def _classified(self, context: str | Sequence[str], rate: float, target_token: float, *,
                    use_context_level_filter: bool, use_token_level_filter: bool, force_context_ids: Sequence[int] | None,
                    labels: tuple[str, str] | None, force_tokens: Sequence[str],
                    force_reserve_digit: bool) -> dict[str, Any]:
        texts = _texts(context)
        arguments = {**_defaults(), "use_context_level_filter": use_context_level_filter, "force_tokens": force_tokens,
                     "use_token_level_filter": use_token_level_filter, "force_context_ids": force_context_ids,
                     "force_reserve_digit": force_reserve_digit}
        return self._compress(texts, "", "", rate, target_token, self.method or "llmlingua2",
                              self._options(arguments, len(texts)), labels=labels, listed=True)

    def _method(self, rank_method: str, asked: bool) -> models.Method:
        if self.method is not None:
            return self.method
        if rank_method in _RANKED_BY:
            return cast(models.Method, _RANKED_BY[rank_method])
        if rank_method not in _OTHER_RANKERS:
            raise NotSupportedError(f"rank_method {rank_method!r} is not known")
        self._warn("rank_method", f"{rank_method!r} is replaced by the service's own embedder and BM25 (method `hybrid`)")
        return "hybrid" if asked else "auto"

    def _options(self, arguments: Mapping[str, Any], texts: int) -> dict[str, Any]:
        """Returns the options that arguments of llmlingua's mean, without those that are as by default."""
        if arguments["reorder_context"] not in _REORDERS:
            raise NotSupportedError(f"reorder_context is one of {', '.join(_REORDERS)}")
        if self.mode == "reference":
            return _given(reorder=arguments["reorder_context"], context_budget=arguments["context_budget"])
        options: dict[str, Any] = {"marks": self.marks}
        forced = [str(place) for place in arguments["force_context_ids"] or ()]
        if not arguments["use_context_level_filter"]:
            forced = [str(place) for place in range(texts)]
        if not arguments["use_token_level_filter"]:
            options["unit"] = "sentence"
        # The service keeps line breaks between lines of which something is kept; blanks cannot be looked for.
        words = [word for word in arguments["force_tokens"] if word.strip()]
        return options | _given(
            force_documents=forced, force_words=words, force_numbers=arguments["force_reserve_digit"],
            keep_first_sentences=arguments["keep_first_sentence"], keep_last_sentences=arguments["keep_last_sentence"],
            reorder=arguments["reorder_context"], context_budget=arguments["context_budget"])

    def _compress(self, texts: list[str], instruction: str, question: str, rate: float, target_token: float,
                  method: models.Method, options: dict[str, Any], *, tags: bool = False, question_shown: bool = True,
                  labels: tuple[str, str] | None = None, listed: bool = False) -> dict[str, Any]:
        if not any(text.strip() for text in texts):
            return self._uncompressed(instruction, question if question_shown else "", len(texts) if listed else None)
        request: dict[str, Any] = {"documents": [{"text": text} for text in texts], "options": options}
        request |= {"tags": True} if tags else {}
        request |= {"return_": ["ranges", "words"]} if labels else {}
        response = self.client.compress(**request, **self._budget(rate, target_token), tokenizer=TOKENIZER, method=method,
                                        **_given(instruction=instruction, question=question, mode=self.mode))
        prompt, tokens = response.prompt, response.usage.compressed_tokens
        if question and not question_shown:
            prompt = prompt.removesuffix(question).rstrip("\n")
            tokens = self.get_token_length(prompt)
        result = _result(prompt, response.usage.original_tokens, tokens)
        if listed:
            result["compressed_prompt_list"] = [document.text for document in response.documents if document.text]
        if labels:
            result["fn_labeled_original_prompt"] = _labelled(texts, response.documents, *labels)
        return result

    def _uncompressed(self, instruction: str, question: str, listed: int | None) -> dict[str, Any]:
        """Returns the result for contexts without text, of which llmlingua makes the rest of the prompt."""
        prompt = "\n\n".join(part for part in (instruction, question) if part)
        tokens = self.get_token_length(prompt)
        result = _result(prompt, tokens, tokens)
        return result if listed is None else {**result, "compressed_prompt_list": []}

    def _budget(self, rate: float, target_token: float) -> dict[str, Any]:
        return {"rate": rate} if target_token == -1 else {"target_tokens": int(target_token)}

    def _refuse(self, arguments: Mapping[str, Any]) -> None:
        """Refuses arguments that the service cannot serve, and warns of those that change nothing."""
        for name, (default, instead) in _REFUSED.items():
            if arguments.get(name, default) != default:
                raise NotSupportedError(f"{name} is not supported: {instead}")
        for name, (default, reason) in _TUNING.items():
            value = arguments.get(name, default)
            if (list(value) if isinstance(value, tuple) else value) != default:
                self._warn(name, reason, 4)

    def _warn(self, name: str, reason: str, level: int = 3) -> None:
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(f"{name} changes nothing: {reason}" if name in _TUNING else f"{name}: {reason}", DifferenceWarning,
                          stacklevel=level)


def _defaults() -> dict[str, Any]:
    """Returns the arguments of `structured_compress_prompt` that it shares with `compress_prompt`, with their defaults."""
    return {
        **{name: default for name, (default, _) in _TUNING.items()
           if name not in ("token_to_word", "drop_consecutive", "chunk_end_tokens")},
        "force_context_ids": None, "force_context_number": None, "use_context_level_filter": True,
        "use_token_level_filter": True, "keep_first_sentence": 0, "keep_last_sentence": 0, "keep_sentence_number": 0,
        "context_budget": "+100", "condition_in_question": "none", "reorder_context": "original",
        "dynamic_context_compression_ratio": 0.0, "condition_compare": False, "rank_method": "llmlingua",
        "concate_question": True, "force_tokens": (), "force_reserve_digit": False,
    }


def _texts(context: str | Sequence[str]) -> list[str]:
    return [context] if isinstance(context, str) else list(context)


def _given(**members: Any) -> dict[str, Any]:
    """Returns the members that say something."""
    return {name: value for name, value in members.items() if value}


def _tagged(sections: Sequence[Sequence[str]], rates: Sequence[Sequence[float]] | None,
            compressed: Sequence[Sequence[bool]] | None, rate: float) -> list[str]:
    """Returns texts whose sections stand in tags."""
    texts = []
    for place, parts in enumerate(sections):
        own_rates: Iterable[float] = rates[place] if rates is not None else [rate] * len(parts)
        own_compressed: Iterable[bool] = compressed[place] if compressed is not None else [True] * len(parts)
        text = ""
        for part, share, whether in zip(parts, own_rates, own_compressed, strict=True):
            if _TAG.search(part):
                raise NotSupportedError("a section holds a tag of llmlingua")
            text += f"<llmlingua, rate={share}, compress={bool(whether)}>{part}</llmlingua>"
        texts.append(text)
    return texts


def _labelled(texts: list[str], documents: Sequence[models.DocumentOutput], word_sep: str, label_sep: str) -> str:
    """Returns each word of the originals with 1 behind it where it was kept, else 0."""
    labelled = []
    for text, document in zip(texts, documents, strict=True):
        data = text.encode()
        if document.words is None:
            labelled += [f"{word}{label_sep}1" for word in text.split()]
            continue
        for word in document.words:
            start, end = word.range
            labelled.append(f"{data[start:end].decode()}{label_sep}{int(word.kept)}")
    return word_sep.join(labelled)


def _result(prompt: str, origin: int, compressed: int) -> dict[str, Any]:
    ratio = origin / compressed if compressed else 1.0
    saving = (origin - compressed) * DOLLARS / 1000
    return {"compressed_prompt": prompt, "origin_tokens": origin, "compressed_tokens": compressed,
            "ratio": f"{ratio:.1f}x", "rate": f"{100 / ratio if ratio else 100.0:.1f}%",
            "saving": f", Saving ${saving:.1f} in GPT-4."}
