"""Convert the text of tags to the values that `--json` shows."""

from __future__ import annotations

# Tags that are numbers; others, as the prompt "1984", are text whatever they look like.
_NUMBERS = (
    "seed", "duration_s", "top_k", "top_p", "temperature", "cfg", "cfg_beta", "stride_s",
    "continuation_of_start_s", "continuation_of_end_s", "melody_of_start_s", "melody_of_end_s",
)  # fmt: skip


def value_of(name: str, text: str) -> object:
    """A number where the tag is one; foreign files may have anything there."""
    if name not in _NUMBERS:
        return text
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return text
