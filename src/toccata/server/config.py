"""The configuration of the server, from flags, variables and the token file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from toccata.errors import InputError
from toccata.settings import LOOPBACK, ServerSettings, Settings, read_values, server_settings

__all__ = ["COG_WEBHOOK_VARIABLE", "LOOPBACK", "ServerSettings", "read_server"]

# As Cog calls it.
COG_WEBHOOK_VARIABLE = "WEBHOOK_AUTH_TOKEN"


def read_server(
    machine: Settings,
    tokens: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **flags: object,
) -> ServerSettings:
    """Read the settings of the server, with Cog's WEBHOOK_AUTH_TOKEN.

    Args:
        machine: The settings that every command has.
        tokens: Those of `--token`; more may come from TOCCATA_TOKEN and from a token file.
        environment: The variables; None: those of this process.
        flags: The values of other flags by name; None: not given.

    Raises:
        InputError: A variable or flag, its value and what is allowed.
        InputErrors: Several of them.
    """
    environment = os.environ if environment is None else environment
    values = read_values(server_settings(), environment, flags)
    machine = replace(machine, also=values.pop("also", machine.also))
    listed = _tokens_in(values["token_file"]) if "token_file" in values else ()
    values["tokens"] = (*tokens, *values.get("tokens", ()), *listed)
    values["cog_webhook_token"] = environment.get(COG_WEBHOOK_VARIABLE, "").strip() or None
    return ServerSettings(machine=machine, **values)


def _tokens_in(file: Path) -> tuple[str, ...]:
    lines = file.read_text(encoding="utf-8").splitlines()
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise InputError("token-file", str(file), "it must hold one token per line")
    return tokens
