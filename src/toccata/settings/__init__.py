"""Settings of machine and server, from flags and TOCCATA_ variables."""

from toccata.settings.declaration import PREFIX, Setting
from toccata.settings.machine import MAX_SLOTS, PRECISIONS, Settings
from toccata.settings.reading import (
    common_settings,
    read,
    read_boolean,
    read_values,
    server_settings,
)
from toccata.settings.serving import LOOPBACK, OUTPUT_URLS, ServerSettings
from toccata.settings.waiting import wait_as_by_default, wait_passively

__all__ = [
    "LOOPBACK",
    "MAX_SLOTS",
    "OUTPUT_URLS",
    "PRECISIONS",
    "PREFIX",
    "ServerSettings",
    "Setting",
    "Settings",
    "common_settings",
    "read",
    "read_boolean",
    "read_values",
    "server_settings",
    "wait_as_by_default",
    "wait_passively",
]
