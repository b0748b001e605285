"""The output of a run, and a record of it, so that no other file is ever replaced."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toccata.decoder.lora import Factors
from toccata.errors import InputError
from toccata.models import lora_files
from toccata.models.checkpoints import native
from toccata.models.model import Model
from toccata.whole_files import replaced, write_errors

RECORD = "written.json"
MODEL_FILES = (native.CONFIG, native.WEIGHTS, native.TOKENIZER)
# A run that is killed between the record and the file leaves the file of the time before.
NUM_DIGESTS = 2


class Output:
    """The file or folder that a run writes.

    Digests of its files are kept in the run's folder: a run that continues replaces what it wrote
    before, and refuses files that somebody else wrote or changed.
    """

    def __init__(self, path: Path, run: Path) -> None:
        self._path, self._record = path, run / RECORD
        self._target = path.resolve()

    def check(self) -> None:
        """Raises InputError if the path has something that this run has not written."""
        target, name, written = self._target, str(self._path), self._written()
        if not target.exists():
            if self._path.is_symlink():
                raise InputError("output", name, "it is a link that leads nowhere: name another")
            return
        if not written:
            raise InputError("output", name, "it is there already: name another")
        files = [target / one for one in MODEL_FILES] if target.is_dir() else [target]
        for file in files:
            if file.exists() and _digest(file) not in written.get(file.name, []):
                problem = f"{file} is not as this run has written it"
                raise InputError("output", name, f"{problem}: move it away, or name another")

    def write_lora(self, info: lora_files.LoraInfo, factors: Mapping[str, Factors]) -> None:
        """Write a LoRA. Raises InputError as `check` does, CheckpointError for other problems."""
        with self._replacing(self._target.parent) as temporary:
            lora_files.write(temporary / self._target.name, info, factors)

    def write_model(self, model: Model) -> None:
        """Write a model. Raises InputError as `check` does, CheckpointError for other problems."""
        with self._replacing(self._target) as temporary:
            native.write_files(model, temporary)

    @contextmanager
    def _replacing(self, folder: Path) -> Iterator[Path]:
        """Give a temporary folder whose files then replace those of their names in `folder`."""
        self.check()
        parent = self._target.parent
        with write_errors(self._path):
            parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".toccata-", dir=parent) as temporary:
                yield Path(temporary)
                files = list(Path(temporary).iterdir())
                self._note(files)
                folder.mkdir(exist_ok=True)
                for file in files:
                    file.replace(folder / file.name)

    def _note(self, files: Iterable[Path]) -> None:
        written = self._written()
        for file in files:
            digests = [*written.get(file.name, []), _digest(file)]
            written[file.name] = digests[-NUM_DIGESTS:]
        with replaced(self._record) as temporary:
            temporary.write_text(json.dumps(written), encoding="utf-8")

    def _written(self) -> dict[str, list[str]]:
        """Digests of what was written so far, by file name."""
        try:
            known = json.loads(self._record.read_text(encoding="utf-8"))
            return {str(name): [str(one) for one in digests] for name, digests in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # none, or none of ours
            return {}


def _digest(file: Path) -> str:
    """The digest of a file's content; "" for what is no file."""
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
