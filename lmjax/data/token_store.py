"""Token stores: a corpus as one memory-mapped array of ids.

A store is a folder of four files: `tokens.bin` (the ids of all documents, one
after the other), `offsets.npy` (where each document begins, and the end),
`sizes.npy` (the size of each document before tokenization, and a hash; see
`facts.Texts`) and `meta.json`.
"""
import array
import collections
from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import pathlib
import sys
import tempfile
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.core import secrets
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import vocabulary

_logger = logging.getLogger(__name__)
_VERSION = 6  # Version of the files; stores of other versions are rebuilt.
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_PART = 1 << 20  # Characters that are encoded together.
_COLUMNS = 6  # Tokens of a document, and the facts about its text.


@dataclasses.dataclass(frozen=True)
class TokenStore:
  """The ids of a corpus, which can be indexed without reading them to memory.

  Attributes:
    tokens: All ids, 1-D, memory-mapped.
    offsets: int64; document i is `tokens[offsets[i]:offsets[i + 1]]`.
    texts: Facts about each document's original text.
    meta: Contents of `meta.json`: counts, digests, and the store's identity.
  """
  tokens: np.ndarray
  offsets: np.ndarray
  texts: facts.Texts
  meta: dict[str, Any]

  @property
  def num_tokens(self) -> int:
    return len(self.tokens)

  @property
  def num_documents(self) -> int:
    return len(self.offsets) - 1

  @property
  def digest(self) -> str:
    """SHA-256 of ids and offsets: all that a model can see of the corpus."""
    return self.meta['digest']

  def document(self, index: int) -> np.ndarray:
    """Returns the ids of one document, 1-D."""
    if not 0 <= index < self.num_documents:
      raise IndexError(f'Document {index} of {self.num_documents}.')
    return self.tokens[self.offsets[index]:self.offsets[index + 1]]


def cached(source: documents_lib.Source, tokenizer: vocabulary.Tokenizer,
           cache: str | pathlib.Path) -> TokenStore:
  """Returns the store of a source, building it if the cache does not have it.

  The name of a store in the cache is a hash of the source's fingerprint and the
  tokenizer's digest, so text that changed is tokenized again, and different
  stores never share a name. A build that is killed leaves no store behind, and
  processes that need the same store build it once. If nothing can be written to
  the cache, as to that of another user's run, the store is a temporary one.

  Args:
    source: The documents.
    tokenizer: The tokenizer that encodes them.
    cache: A folder for stores.
  """
  identity = {
      'version': _VERSION, 'source': source.fingerprint(),
      'tokenizer': tokenizer.digest, 'rule': tokenizer.describe(),
      'byteorder': sys.byteorder}
  text = json.dumps(identity, sort_keys=True)
  name = hashlib.sha256(text.encode()).hexdigest()[:20]
  directory = pathlib.Path(cache) / f'tokens-{name}'
  if directory.exists():
    return load(directory)
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(_lock(directory))
    except OSError as error:
      if error.errno not in _NOT_WRITABLE:
        raise
      _logger.warning(
          '%s cannot be written to, so text is tokenized once more for this '
          'process alone.', cache)
      directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(
          prefix='lmjax-'))) / directory.name  # Mapped files outlive it.
    if not directory.exists():  # Another process may have built it.
      build(directory, source, tokenizer, identity)
    return load(directory)


def load(directory: str | pathlib.Path) -> TokenStore:
  """Returns the store in a folder, memory-mapped.

  Reads all files once, at over 1 GB/s, to compare them with their digests;
  otherwise we would train on corrupted data.

  Raises:
    InputError: If the folder is not a store, or its files were changed.
  """
  directory = pathlib.Path(directory)
  try:
    paths = [safe_paths.safe_join(directory, name) for name in (
        'meta.json', 'tokens.bin', 'offsets.npy', 'sizes.npy')]
    meta = strict_json.read(paths[0])
    dtype, size = np.dtype(meta['dtype']), paths[1].stat().st_size
    offsets, sizes = (np.load(path, mmap_mode='r', allow_pickle=False)
                      for path in paths[2:])
    if (dtype.str not in ('<u2', '<u4', '>u2', '>u4')
        or not isinstance(meta['digest'], str)
        or not isinstance(meta['counts'], dict)
        or not isinstance(meta['source'], dict)
        or not isinstance(meta['notes'], list)
        or not isinstance(meta['files'], dict)
        or not isinstance(meta['text_bytes'], int)
        or offsets.dtype != np.int64 or sizes.dtype != np.int64):
      raise ValueError('its files are of other types')
    is_whole = (
        size == meta['num_tokens'] * dtype.itemsize > 0
        and offsets.shape == (meta['num_documents'] + 1,)
        and sizes.shape == (_COLUMNS - 1, meta['num_documents'])
        and offsets[0] == 0 and offsets[-1] == meta['num_tokens']
        and bool(np.all(offsets[:-1] <= offsets[1:])))
  except Exception as error:  # NumPy's parsers raise errors of many types.
    raise errors.InputError(
        f'{str(directory)!r} is not an intact token store ({error}); delete '
        'the folder to have it built again.') from None
  if not is_whole:
    raise errors.InputError(
        f'{str(directory)!r} is damaged: tokens.bin has {size} bytes where '
        f'meta.json says {meta["num_tokens"]} ids of {dtype.itemsize} bytes in '
        f'{meta["num_documents"]} documents; delete the folder to have it '
        'built again.')
  if damaged := _damaged(paths, meta):
    raise errors.InputError(
        f'{damaged} is damaged: its SHA-256 differs from the one recorded when '
        f'it was written; delete the folder {str(directory)!r} to have it '
        'built again.')
  tokens = np.memmap(paths[1], dtype, mode='r')
  return TokenStore(tokens, offsets, facts.Texts(*sizes), meta)


def build(directory: str | pathlib.Path, source: documents_lib.Source,
          tokenizer: vocabulary.Tokenizer,
          identity: dict[str, Any] | None = None) -> TokenStore:
  """Tokenizes a source into a new folder, in one pass and little memory.

  The folder gets its name only when all files are written.

  Args:
    directory: The folder to create.
    source: The documents.
    tokenizer: The tokenizer that encodes them.
    identity: Everything that the store depends on, kept in its `meta.json`.

  Raises:
    InputError: If the source cannot be read or encoded, or has no tokens.
  """
  with atomic.folder(directory) as unfinished:
    counts = collections.Counter()
    with open(unfinished / 'tokens.bin', 'wb') as file:
      sizes, sha = _write(file, source.documents(counts), tokenizer)
    offsets = np.concatenate([[0], np.cumsum(sizes[0])]).astype(np.int64)
    sha.update(offsets)
    meta = secrets.redact({
        'version': _VERSION, 'dtype': tokenizer.dtype.name,
        'vocab_size': tokenizer.vocab_size, 'num_tokens': int(offsets[-1]),
        'num_documents': len(offsets) - 1, 'text_bytes': int(sizes[1].sum()),
        'words': int(sizes[2].sum()), 'digest': sha.hexdigest(),
        'counts': dict(sorted(counts.items())), 'identity': identity,
        'source': source.contents(), 'notes': source.notes(), 'files': {}})
    for name, values in ('offsets.npy', offsets), ('sizes.npy', sizes[1:]):
      np.save(unfinished / name, values)
      meta['files'][name] = _sha256(unfinished / name).hexdigest()
    (unfinished / 'meta.json').write_text(json.dumps(meta, indent=2) + '\n')
  return load(directory)


def _damaged(paths: Sequence[pathlib.Path], meta: dict[str, Any]
             ) -> pathlib.Path | None:
  """Returns the first file whose digest is wrong, or None."""
  _, tokens, *others = paths
  for path in others:
    if _sha256(path).hexdigest() != meta['files'].get(path.name):
      return path
  sha = _sha256(tokens, np.dtype(meta['dtype']).name.encode())
  sha.update(np.load(others[0], allow_pickle=False))
  return None if sha.hexdigest() == meta['digest'] else tokens


def _sha256(path: pathlib.Path, before: bytes = b'') -> Any:
  """Returns the SHA-256 of some bytes followed by a file."""
  sha = hashlib.sha256(before)
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, lambda: sha)


def _write(file: Any, documents: Iterator[str],
           tokenizer: vocabulary.Tokenizer) -> tuple[np.ndarray, Any]:
  """Writes all ids; returns the sizes of each document, and a hash of all ids.

  The sizes are arrays: tokens, then the fields of `facts.Facts`.
  """
  sizes, sha = array.array('q'), hashlib.sha256(tokenizer.dtype.name.encode())

  def put(ids):
    tokenizer.check(ids)
    raw = ids.tobytes()
    file.write(raw)
    sha.update(raw)
    return len(ids)

  for texts in _parts(documents):
    if len(texts[0]) > _PART:
      lengths = [sum(put(ids) for ids in tokenizer.document_parts(texts[0]))]
    else:
      ids, lengths = tokenizer.encode_documents(texts)
      put(ids)
    for text, length in zip(texts, lengths):
      if length:  # A normaliser may leave no token of a document.
        sizes.extend((int(length), *facts.of(text)))
  if not sizes:
    raise errors.InputError(
        f'No document has a token under {tokenizer.describe()}.')
  return np.frombuffer(sizes, np.int64).reshape(-1, _COLUMNS).T, sha


def _parts(documents: Iterator[str]) -> Iterator[list[str]]:
  """Yields documents in lists that are large enough to encode at once.

  A document of more than `_PART` characters is alone in its list.
  """
  part, size = [], 0
  for text in documents:
    if part and (size >= _PART or len(text) > _PART):
      yield part
      part, size = [], 0
    part.append(text)
    size += len(text)
  if part:
    yield part


@contextlib.contextmanager
def _lock(directory: pathlib.Path) -> Iterator[None]:
  """Lets one process at a time build a folder; a dead one frees the lock."""
  durable.make_folder(directory.parent)
  try:
    import fcntl
  except ImportError:  # Windows: two runs at once may both build the folder.
    yield
    return
  with open(directory.with_name(directory.name + '.lock'), 'w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield
