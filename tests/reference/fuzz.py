"""Damaged copies of a file, to be refused in a sentence or read as numbers."""
from collections.abc import Callable, Iterator
import pathlib
import tracemalloc

import numpy as np

from lmjax.core import errors

_EXTREMES = (0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0xffffffff, 2**60, 2**63,
             2**64 - 1)


def damaged(content: bytes, count: int, seed: int = 0,
            head: int | None = None) -> Iterator[bytes]:
  """Yields changed copies of a file.

  Bytes are flipped, replaced, removed, inserted, repeated or swapped, numbers
  of 1 to 8 bytes become extreme, and the end is cut off: one to four changes a
  copy.

  Args:
    content: The intact file.
    count: The number of copies.
    seed: The seed of the changes.
    head: Bytes that describe the rest, where three of four changes go; by
      default, all bytes are alike.
  """
  draw = np.random.default_rng(seed)
  for _ in range(count):
    changed = bytearray(content)
    for _ in range(draw.integers(1, 5)):
      within = len(changed)
      if head is not None and draw.random() < 0.75:
        within = min(head, within)
      at = int(draw.integers(0, within + 1))
      length = int(draw.integers(1, 9))
      match draw.integers(0, 8):
        case 0 if at < len(changed):
          changed[at] ^= 1 << int(draw.integers(0, 8))
        case 1:
          changed[at:at + 1] = draw.bytes(1)
        case 2:
          del changed[at:at + length]
        case 3:
          changed[at:at] = draw.bytes(length)
        case 4:
          changed[at:at] = changed[at:at + 8 * length]
        case 5:
          value = int(draw.choice(np.array(_EXTREMES, np.uint64)))
          changed[at:at + length] = (value % 2**(8 * length)).to_bytes(
              length, 'little')
        case 6:
          other = int(draw.integers(0, within + 1))
          piece = changed[other:other + length]
          changed[at:at + len(piece)] = piece
        case 7 if draw.random() < 0.2:
          del changed[at:]
    yield bytes(changed)


def check(read: Callable[[pathlib.Path], object], path: pathlib.Path,
          copies: Iterator[bytes], allowance: int = 1 << 20) -> tuple[int, int]:
  """Reads damaged copies of a file, which may only raise `InputError`.

  Args:
    read: Function that reads all of a file.
    path: Where the copies are written.
    copies: The contents; see `damaged`.
    allowance: Bytes of memory that `read` may take besides twice the file.

  Returns:
    How many copies were read, and how many were refused.
  """
  counts = [0, 0]
  for number, copy in enumerate(copies):
    path.write_bytes(copy)
    refused = False
    tracemalloc.start()
    try:
      read(path)
    except errors.InputError as error:
      refused = True
      assert len(str(error)) < 2000, f'Copy {number}: {error}'
    except Exception as error:
      raise AssertionError(f'Copy {number} raises {error!r}.') from error
    finally:
      _, peak = tracemalloc.get_traced_memory()
      tracemalloc.stop()
    assert peak <= 2 * len(copy) + allowance, (
        f'Copy {number} of {len(copy):,} bytes takes {peak:,} bytes.')
    counts[refused] += 1
  return counts[0], counts[1]
