"""Reads text files, compressed or not, with errors that name line and byte."""
import collections
from collections.abc import Iterator, Sequence
import contextlib
import difflib
import glob
import gzip
import hashlib
import io
import os
import pathlib
import sys
from typing import Any, Literal
import zlib

from lmjax.core import errors
from lmjax.data.text import encodings
from lmjax.data.text import kinds

OnBadText = Literal['fail', 'replace', 'skip']
_MAX_FILE_BYTES = 1 << 30  # Largest document that is a whole file.
_PART_BYTES = 1 << 24
_END_BYTES = 1 << 16  # Bytes of each end of a file that the fingerprint hashes.


def expand(paths: Sequence[str]) -> list[str]:
  """Returns the files that paths and globs name, each once, globs sorted.

  Some may be streams, which can be read only once: a pipe, a device such as
  /dev/stdin, or '-', which is standard input.

  Raises:
    InputError: If a path names no file, or an empty file.
  """
  if not paths:
    raise errors.InputError('paths is empty; name a file or a glob.')
  found = []
  for path in paths:
    if pathlib.Path(path).is_dir():
      raise errors.InputError(
          f'{path!r} is a folder; give its files, such as {path}/*.txt.')
    if is_stream(path):
      found.append(path)
      continue
    is_file = pathlib.Path(path).is_file()
    names = [path] if is_file else _matches(pathlib.Path(path))
    names = [name for name in names if pathlib.Path(name).is_file()]
    if not names:
      raise errors.InputError(f'No file {path!r}.{_nearby(path)}')
    found += names
  for name in found:
    if not is_stream(name) and pathlib.Path(name).stat().st_size == 0:
      raise errors.InputError(f'{name} is empty (0 bytes); remove it.')
  return list(dict.fromkeys(found))


def _matches(pattern: pathlib.Path) -> list[str]:
  """Returns what a glob matches, sorted; folders that exist are not globs."""
  folder = next(parent for parent in pattern.parents if parent.is_dir())
  return sorted(str(folder / name) for name in glob.glob(
      str(pattern.relative_to(folder)), root_dir=folder, recursive=True))


def is_stream(path: str) -> bool:
  """Returns whether a path is a pipe, a device or '-', which is read once."""
  found = pathlib.Path(path)
  return path == '-' or (
      found.exists() and not found.is_file() and not found.is_dir())


def read(path: str, on_bad_text: OnBadText,
         counts: collections.Counter) -> str:
  """Returns the text of a whole file, without a byte order mark.

  Args:
    path: A file; gzip if its name ends in `.gz`.
    on_bad_text: How to handle bytes that are not UTF-8: 'fail', 'replace' each
      by U+FFFD, or 'skip' their lines.
    counts: Receives the numbers of repaired and skipped lines.

  Raises:
    InputError: If the file is damaged, binary or, under 'fail', not UTF-8.
  """
  with _open(path) as file:
    raw = _guarded(path, file, lambda: _whole(path, file))
  _refuse_binary(path, 1, 0, raw)
  try:
    return raw.decode('utf-8').removeprefix('\ufeff')
  except UnicodeDecodeError as error:
    if on_bad_text == 'fail':
      line = raw.count(b'\n', 0, error.start) + 1
      raise _not_utf8(path, line, error.start) from None
  lines = (_decoded(path, i, 0, line, on_bad_text, counts)
           for i, line in enumerate(raw.splitlines(keepends=True), 1))
  text = ''.join(line for line in lines if line is not None)
  return text.removeprefix('\ufeff')


def lines(path: str, on_bad_text: OnBadText, max_line_bytes: int | None,
          counts: collections.Counter, encoding: str | None = None
          ) -> Iterator[tuple[int, str]]:
  """Yields (line number from 1, text without its line end) of a file.

  Memory is bounded by `max_line_bytes`. A longer line is an error or, with
  'replace' and 'skip', is skipped and counted.

  Args:
    path: See `read`.
    on_bad_text: See `read`.
    max_line_bytes: Most bytes of a line; of its UTF-8 if the file is in UTF-16
      or UTF-32. None reads lines of any length.
    counts: See `read`.
    encoding: The file's encoding. None is UTF-8, for callers whose users cannot
      choose another one; messages then do not name this option.
  """
  number, offset = 0, 0
  limit = sys.maxsize - 1 if max_line_bytes is None else max_line_bytes
  with _opened(path, encoding) as file:
    while True:
      raw = _guarded(path, file, lambda: file.readline(limit + 1))
      if not raw:
        return
      number += 1
      start, offset = offset, offset + len(raw)
      _refuse_binary(path, number, start, raw, encoding)
      if len(raw) > limit and not raw.endswith(b'\n'):
        if on_bad_text == 'fail':
          raise errors.InputError(
              f'{path}:{number}: the line is longer than max_line_bytes='
              f"{limit}; raise it, or set on_bad_text='skip'."
              if encoding is None else
              f'{path}:{number}: the line has more than {limit:,} '
              'bytes, the most that are read; divide it, or set on_bad_text='
              'skip to leave it out.')
        counts['over-long lines skipped'] += 1
        while raw and not raw.endswith(b'\n'):
          raw = _guarded(path, file, lambda: file.readline(limit))
          offset += len(raw)
        continue
      text = _decoded(
          path, number, start, raw, on_bad_text, counts, encoding)
      if text is not None:
        if number == 1:
          text = text.removeprefix('\ufeff')
        yield number, text.removesuffix('\n').removesuffix('\r')


def fingerprint(paths: Sequence[str]) -> list[dict[str, Any]]:
  """Returns name, size, time of change and a hash of both ends of each file.

  Reads at most 128 kB per file, so it is cheap enough for every start.
  """
  rows = []
  for path in _kept(paths):
    stat = pathlib.Path(path).stat()
    with open(path, 'rb') as file:
      ends = file.read(_END_BYTES)
      file.seek(max(0, stat.st_size - _END_BYTES))
      ends += file.read(_END_BYTES)
    rows.append({
        'path': str(path), 'bytes': stat.st_size, 'mtime_ns': stat.st_mtime_ns,
        'ends': hashlib.sha256(ends).hexdigest()})
  return rows


def contents(paths: Sequence[str]) -> dict[str, str]:
  """Returns {name: size and SHA-256} of each file.

  Names are relative to the folder that holds all files.
  """
  found = _kept(paths)
  folder = os.path.commonpath(
      [os.path.dirname(os.path.abspath(path)) for path in found])
  rows = {}
  for path in found:
    with open(path, 'rb') as file:
      sha = hashlib.file_digest(file, 'sha256').hexdigest()
    size = pathlib.Path(path).stat().st_size
    rows[os.path.relpath(path, folder)] = f'{size:,} bytes, sha {sha[:12]}'
  return rows


def _kept(paths: Sequence[str]) -> list[str]:
  """Returns the files of paths; raises InputError if one is a stream."""
  found = expand(paths)
  for path in found:
    if is_stream(path):
      raise errors.InputError(
          f'{path} can be read only once, and this text is read again when a '
          'run is resumed; write it to a file.')
  return found


def _open(path: str):
  if path == '-':
    return contextlib.nullcontext(sys.stdin.buffer)
  try:
    return gzip.open(path, 'rb') if path.endswith('.gz') else open(path, 'rb')
  except OSError as error:
    raise errors.InputError(
        f'{path} cannot be read: {error.strerror}.') from None


@contextlib.contextmanager
def _opened(path: str, encoding: str | None):
  """Yields the bytes of a file, in UTF-8 if the file is in UTF-16 or UTF-32."""
  with _open(path) as file:
    yield io.BufferedReader(encodings.Recoded(file, encoding)) if (
        encodings.is_wide(encoding)) else file


def _whole(path: str, file: Any) -> bytes:
  """Returns all bytes; fails on a file that would not fit into memory."""
  parts, size = [], 0
  while part := file.read(_PART_BYTES):
    parts.append(part)
    size += len(part)
    if size > _MAX_FILE_BYTES:
      raise errors.InputError(
          f'{path} is larger than {_MAX_FILE_BYTES:,} bytes, too large for a '
          "single document; set split_on='line' or 'paragraph'.")
  return b''.join(parts)


def _guarded(path: str, file: Any, read_some: Any) -> bytes:
  """Returns the result of `read_some`; raises InputError for a damaged file."""
  try:
    return read_some()
  except EOFError:
    raise errors.InputError(
        f'{path} is truncated: the compressed data stop after {file.tell():,} '
        'bytes of text; copy it again.') from None
  except (gzip.BadGzipFile, zlib.error) as error:
    raise errors.InputError(
        f'{path} is not an intact gzip file: {error}; copy it again.'
    ) from None
  except OSError as error:
    raise errors.InputError(f'{path} cannot be read: {error}.') from None


def _refuse_binary(path: str, line: int, start: int, raw: bytes,
                   encoding: str | None = None) -> None:
  """Raises InputError for bytes that are not text."""
  if not start and encoding is None:
    kinds.check_begin(path, raw)
  at = raw.find(b'\0')
  if at < 0:
    return
  advice = '' if encoding is None else (
      ', or set encoding=utf-16 if it is in that')
  line += raw.count(b'\n', 0, at)
  raise errors.InputError(
      f'{path}:{line}: not text: byte {start + at} of the file is NUL; '
      f'give text in UTF-8{advice}.')


def _decoded(path: str, number: int, start: int, raw: bytes,
             on_bad_text: OnBadText, counts: collections.Counter,
             encoding: str | None = None) -> str | None:
  """Returns a line as text, or None to skip it."""
  wide = encodings.is_wide(encoding)
  codec = 'utf-8' if wide or encoding is None else encoding
  try:
    return raw.decode(codec)
  except UnicodeDecodeError as error:
    if on_bad_text == 'fail' and encoding is not None:
      at = '' if wide else f' at byte {start + error.start} of the file'
      raise errors.InputError(
          f'{path}:{number}: invalid {encoding.upper()}{at}; set encoding to '
          f'that of the file, such as {encodings.advice(raw)}, or on_bad_text '
          'to replace or skip.') from None
    if on_bad_text == 'fail':
      raise _not_utf8(path, number, start + error.start) from None
    if on_bad_text == 'skip':
      counts['lines of bad text skipped'] += 1
      return None
    counts['lines of bad text repaired'] += 1
    return raw.decode(codec, errors='replace')


def _not_utf8(path: str, line: int, at: int) -> errors.InputError:
  return errors.InputError(
      f'{path}:{line}: invalid UTF-8 at byte {at} of the file; convert it, or '
      'set on_bad_text=replace.')


def _nearby(path: str) -> str:
  folder = pathlib.Path(path).parent
  if not folder.is_dir():
    return f' There is no folder {str(folder)!r} either.'
  names = [entry.name for entry in folder.iterdir() if entry.is_file()]
  close = difflib.get_close_matches(pathlib.Path(path).name, names, 1)
  return f' Did you mean {str(folder / close[0])!r}?' if close else ''
