"""Measure how much of a form with files the server holds in memory while the form comes.

The parsers of starlette and gradio write files to the disk, but keep fields, and the beginning of
each file, in memory. The form is parsed here as they do, so that both find the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartParser

SPOOLED_BYTES = MultiPartParser.spool_max_size


@dataclass(eq=False)
class FormMemory:
    """The bytes of a form that are held in memory.

    Args:
        content_type: The Content-Type of the form, which names its boundary.
    """

    content_type: str
    _parser: MultipartParser | None = field(init=False, default=None)
    _held: int = 0
    _header: bytes = b""
    _value: bytes = b""
    _is_file: bool = False
    _spooled: int = 0

    def __post_init__(self) -> None:
        boundary = parse_options_header(self.content_type)[1].get(b"boundary")
        if boundary:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_part_data": self._add_data,
                },
            )

    def add(self, body: bytes) -> int:
        """The number of bytes that are held of the next piece of the form."""
        before = self._held
        if self._parser is not None:
            try:
                self._parser.write(body)
            except FormParserError:  # nobody else reads more of it either
                self._parser = None
        return self._held - before

    def _begin_part(self) -> None:
        self._is_file, self._spooled = False, 0

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._is_file = b"filename" in parse_options_header(self._value)[1]
        self._held += len(self._header) + len(self._value)
        self._header = self._value = b""

    def _add_data(self, _: bytes, start: int, end: int) -> None:
        held = end - start
        if self._is_file:
            held = min(held, SPOOLED_BYTES - self._spooled)
            self._spooled += held
        self._held += held
