"""Pictures of words in LMDB databases, as MJSynth, SynthText and the papers' test sets are shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tqdm import tqdm

from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import Lazy
from bls_bench.tasks.text_recognition.pictures import Source, WordPictures, check_text

if TYPE_CHECKING:
    import lmdb
else:
    lmdb = Lazy("lmdb")

COUNT = b"num-samples"
# The databases that this process has open, by their folders.
OPEN: dict[Path, lmdb.Environment] = {}


@dataclass(frozen=True, kw_only=True)
class LmdbWords(WordPictures):
    """`root` holds, for each set, a folder of its name with a database in it.

    Its entries are num-samples, and image-000000001, label-000000001 and so on.
    """

    requires: ClassVar[tuple[str, ...]] = ("lmdb",)
    extra: ClassVar[str] = "recognition"
    name: str = "lmdb_words"

    def source(self, root: Path, name: str) -> Source:
        folder = root / name
        if not (folder / "data.mdb").exists():
            raise InputError(f"dataset.root={self.root} has no database {name}/data.mdb")
        with _closed_after(folder):
            count = _found(folder, COUNT).decode(errors="replace")
        if not count.isdigit():
            raise InputError(f"{folder}: num-samples is {count!r}, and must be a number")
        return Database(folder, int(count))


@dataclass(frozen=True)
class Database:
    """A `Source` of the entries of an LMDB database."""

    folder: Path
    count: int

    def texts(self) -> Iterator[str]:
        numbers = tqdm(range(1, self.count + 1), desc=f"texts of {self.folder.name}", disable=None)
        with _closed_after(self.folder):
            for number in numbers:
                label = _found(self.folder, b"label-%09d" % number)
                try:
                    yield check_text(label.decode(), f"{self.folder}, label {number}")
                except UnicodeDecodeError:
                    raise InputError(f"{self.folder}, label {number} is not UTF-8") from None

    def picture(self, index: int) -> tuple[str, bytes]:
        path = f"{self.folder}, image {index + 1}"
        return path, _found(self.folder, b"image-%09d" % (index + 1))


def _found(folder: Path, key: bytes) -> bytes:
    """Return an entry; raises InputError if there is none."""
    try:
        if folder not in OPEN:
            OPEN[folder] = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
        with OPEN[folder].begin() as transaction:
            value = transaction.get(key)
    except lmdb.Error as error:
        raise InputError(f"{folder} cannot be read as LMDB: {folded(error)}") from None
    if value is None:
        raise InputError(f"{folder} has no entry {key.decode()}")
    return value


@contextmanager
def _closed_after(folder: Path) -> Iterator[None]:
    """Close a database behind what is read here: a process that is forked could not open it again."""
    try:
        yield
    finally:
        if folder in OPEN:
            OPEN.pop(folder).close()
