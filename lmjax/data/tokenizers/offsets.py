"""Finds the characters of a text that each token is from."""
from collections.abc import Sequence
import unicodedata

import numpy as np

_NEAR = 64  # Bytes that may be skipped to find a token's.


def aligned(text: str, pieces: Sequence[bytes]) -> np.ndarray:
  """Returns the characters that each token is from, `spans_N2`.

  It compares bytes without whitespace. Tokens whose bytes are not found in the
  text, such as unknown ones, are from the characters between their neighbours.

  Args:
    text: The text.
    pieces: The bytes of each token, in order; see `Tokenizer.token_bytes`. The
      tokenizer may have normalised them by Unicode's NFKC.

  Returns:
    The first character of each token and the first one after it, int64 [N, 2].
    They are equal for tokens of whitespace. Tokens that are parts of one
    character are all from this character.

  Example:
    >>> aligned('Über uns', [b' \\xc3', b'\\x9cber', b' ', b'uns']).tolist()
    [[0, 1], [0, 4], [4, 4], [5, 8]]
  """
  raws = [b''.join(piece.split()) for piece in pieces]
  stream, sources = _stream(
      (place, place + 1, letter) for place, letter in enumerate(text))
  if stream != b''.join(raws):
    stream, sources = _stream(
        (start, end, unicodedata.normalize('NFKC', text[start:end]))
        for start, end in _composed(text))
  found, cursor = [], 0
  for raw in raws:
    at = stream.find(raw, cursor, cursor + len(raw) + _NEAR)
    if not raw:
      found.append((cursor, cursor))
      continue
    found.append(None if at < 0 else (at, at + len(raw)))
    cursor = cursor if at < 0 else at + len(raw)
  return _in_letters(_filled(found, len(stream)), sources)


def trimmed(text: str, spans_N2: np.ndarray) -> np.ndarray:
  """Returns spans without the whitespace at their ends."""
  out_N2 = np.array(spans_N2, np.int64).reshape(-1, 2)
  for span in out_N2:
    part = text[span[0]:span[1]]
    span[0] += len(part) - len(part.lstrip())
    span[1] = span[0] + len(part.strip())
  return out_N2


def _composed(text):
  """Yields (start, end) of each letter with the combining marks after it."""
  starts = [place for place, letter in enumerate(text)
            if not place or not unicodedata.combining(letter)]
  return zip(starts, [*starts[1:], len(text)])


def _stream(parts):
  """Returns the bytes of a text without whitespace, and the span of each byte.

  Args:
    parts: For each part of the text, (start, end, its normalised letters).
  """
  stream, sources = bytearray(), []
  for start, end, letters in parts:
    raw = ''.join(letters.split()).encode()
    stream += raw
    sources += [(start, end)] * len(raw)
  return bytes(stream), sources


def _filled(found, size):
  """Replaces None by the bytes between the neighbours that were found."""
  out, end = [], 0
  for i, span in enumerate(found):
    if span is None:
      after = next((each[0] for each in found[i:] if each is not None), size)
      out.append((end, after))
    else:
      out.append(span)
      end = span[1]
  return out


def _in_letters(spans, sources):
  """Returns spans of bytes as spans of the letters that the bytes are from."""
  out_N2 = np.zeros((len(spans), 2), np.int64)
  for i, (start, end) in enumerate(spans):
    if start < end:
      out_N2[i] = sources[start][0], sources[end - 1][1]
    else:
      out_N2[i] = sources[start - 1][1] if start else 0
  return out_N2
