"""From a record with fields to a document's columns, by the recipe's mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.errors import DataError
from steps.core.source import SourceSettings
from steps.ingest.records import RawRecord

COLUMNS = ("text", "url", "title", "language", "prompt", "response", "task", "messages")
CONVERSATION_FIELDS = ("messages", "conversations", "conversation")  # OpenAI's format, ShareGPT's, others
# who speaks: OpenAI (user, assistant, system), ShareGPT (human, gpt, system), Vicuna and Gemini style sets
_ROLES = {
    "user": "user", "human": "user", "prompter": "user", "question": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant",
    "bing": "assistant", "bard": "assistant", "answer": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
_LABELS = {"user": "User: ", "assistant": "Assistant: ", "system": ""}


class FieldMapping:
    """Reads records of one source. Raises DataError for a mapping of columns that there are not."""

    def __init__(self, settings: SourceSettings) -> None:
        unknown = sorted(set(settings.fields) - set(COLUMNS))
        if unknown:
            raise DataError(
                f"source {settings.name}: fields maps unknown columns {', '.join(unknown)}; "
                f"known: {', '.join(COLUMNS)}"
            )
        self._settings = settings
        self._fields = {**{name: name for name in COLUMNS}, **settings.fields}
        self._conversations = (
            (settings.fields["messages"],) if "messages" in settings.fields else CONVERSATION_FIELDS
        )

    @property
    def names(self) -> set[str]:
        """The first parts of all record fields that may be read."""
        wanted = [*self._fields.values(), *self._conversations]
        return {
            part
            for name in wanted
            for field in name.split("+")
            for part in (name, field, field.partition(".")[0])
        }

    def record(self, row: int, size: int, value: Any, raw: bytes | None) -> RawRecord:
        """The record with its text, or with the reason why it is malformed."""
        record = RawRecord(row, size)
        if not isinstance(value, dict):
            record.broken, record.detail, record.raw = "malformed_record", "not an object", raw
            return record
        found = {column: text_at(value, name) for column, name in self._fields.items()}
        record.url = found["url"] or ""
        record.language = found["language"] or ""
        record.metadata = {"title": found["title"]} if found["title"] else {}
        problem = (
            self._supervised(record, value, found)
            if self._settings.kind == "supervised"
            else self._plain(record, found)
        )
        if problem:
            record.broken, record.detail, record.raw = "malformed_record", problem, raw
        return record

    def _plain(self, record: RawRecord, found: Mapping[str, str | None]) -> str | None:
        if found["text"] is None:
            return f"field {self._fields['text']!r} (text) is missing or not a text"
        record.text = found["text"]
        return None

    def _supervised(
        self, record: RawRecord, value: Mapping[str, Any], found: Mapping[str, str | None]
    ) -> str | None:
        """Fill the record's texts, or say what is wrong."""
        prompt, response = found["prompt"], found["response"]
        if not prompt or not response:
            turns = next((t for name in self._conversations if (t := at(value, name)) is not None), None)
            if turns is None:
                missing = "prompt" if not prompt else "response"
                return f"field {self._fields[missing]!r} ({missing}) is missing, empty or not a text"
            exchange = conversation(turns)
            if isinstance(exchange, str):
                return exchange
            prompt, response = exchange
        task = found["task"] or self._settings.task
        record.text, record.supervised = f"{prompt}\n{response}", (prompt, response, task)
        return None


def conversation(turns: Any) -> tuple[str, str] | str:
    """Prompt and response of a list of messages (``role``/``content`` or ``from``/``value``), or what is wrong with it.

    The response is the last answer; the prompt is what came before it: the question (after the system's words, if
    any), or, where there were several turns, all of them with "User: " and "Assistant: " before each.
    """
    if not isinstance(turns, list):
        return "its conversation is not a list of messages"
    spoken: list[tuple[str, str]] = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, Mapping):
            return f"message {number} of its conversation is not an object"
        name = str(turn.get("role") or turn.get("from") or "").strip().lower()
        said = _said(turn.get("content") if "content" in turn else turn.get("value"))
        if name not in _ROLES:
            return f"message {number} of its conversation has the unknown role {name[:40]!r}"
        if said is None:
            return f"message {number} of its conversation is not a text"
        spoken.append((_ROLES[name], said))
    while spoken and spoken[-1][0] != "assistant":
        spoken.pop()  # a question without an answer
    if not spoken or not spoken[-1][1]:
        return "its conversation has no answer"
    before = [(role, said) for role, said in spoken[:-1] if said]
    if not any(role == "user" for role, _ in before):
        return "its conversation has no question before the last answer"
    several = sum(role != "system" for role, _ in before) > 1
    prompt = "\n".join(f"{_LABELS[role] if several else ''}{said}" for role, said in before)
    return prompt, spoken[-1][1]


def _said(content: Any) -> str | None:
    """A message's text: a string, or the texts of a list of parts (OpenAI's form for text with images)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list):
        return None
    parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    if len(parts) != len(content):
        return None  # an image or a sound: the text alone is not what was asked
    return "\n".join(str(part) for part in parts).strip()


def text_at(value: Mapping[str, Any], name: str) -> str | None:
    """The text at ``name``: a field, a path (``a.b``, ``answers.0.text``), or several joined by "+", one per line.

    A list of texts is one text, an element per line.
    """
    if "+" in name and name not in value:
        parts = [part for field in name.split("+") if (part := text_at(value, field))]
        return "\n".join(parts) or None
    found = at(value, name)
    if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
        return "\n".join(found)
    return found if isinstance(found, str) else None


def at(value: Mapping[str, Any], name: str) -> Any:
    """What stands at a field or path; a number in a path counts a list's elements from 0. None where it is missing."""
    if name in value:
        return value[name]
    current: Any = value
    for key in name.split("."):
        if isinstance(current, Mapping):
            current = current.get(key)
        elif isinstance(current, list) and key.isdigit() and int(key) < len(current):
            current = current[int(key)]
        else:
            return None
    return current
