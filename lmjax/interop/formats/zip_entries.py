"""Entries of a zip file that is mapped and not compressed, as torch writes it.

Only places in the file are computed: nothing is unpacked, so that an entry
cannot be larger than its file or be written anywhere.

References:
  PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", version 6.3.10.
"""
from collections.abc import Iterator
import dataclasses
import struct

import numpy as np

_END = struct.Struct('<4s4H2LH')
_LOCATOR = struct.Struct('<4sLQL')
_END_64 = struct.Struct('<4sQ2H2L4Q')
_CENTRAL = struct.Struct('<4s6H3L5H2L')
_LOCAL = struct.Struct('<4s5H3L2H')
_LONGEST_COMMENT = 0xffff
_IN_64_BITS = 0xffffffff  # A number that is in the extra field instead.
_LONGEST_DIRECTORY = 4 << 20  # Bytes; about 40,000 entries of torch.


@dataclasses.dataclass(frozen=True)
class Entry:
  """A file in a zip file.

  Attributes:
    begin: Its first byte in the zip file.
    end: The byte after its last.
    crc: The CRC-32 of its bytes.
  """
  begin: int
  end: int
  crc: int

  @property
  def size(self) -> int:
    """The number of bytes."""
    return self.end - self.begin

  def of(self, content: np.ndarray) -> np.ndarray:
    """Returns its bytes, given those of the zip file."""
    return content[self.begin:self.end]


def entries(content: np.ndarray) -> dict[str, Entry]:
  """Returns the entries of a zip file by name.

  Args:
    content: The bytes of the file; see `mapped.content`.

  Raises:
    ValueError: If the file is damaged, or an entry is compressed, encrypted,
      overlaps another or has a name that leads out of a folder.
  """
  try:
    first, end, count = _directory(content)
    directory = content[first:end].tobytes()
    found, last = {}, 0
    for header, name, size, crc in sorted(_central(directory, count)):
      begin = _begin(content, header, name)
      entry = Entry(begin, begin + size, crc)
      if name in found:
        raise ValueError(f'it has two entries {name!r}')
      if header < last or entry.end > first:
        raise ValueError(f'its entry {name!r} overlaps others')
      found[name], last = entry, entry.end
    return found
  except struct.error as error:
    raise ValueError('it is cut short or damaged') from error


def _directory(content: np.ndarray) -> tuple[int, int, int]:
  """Returns first and last byte of the central directory, and its length."""
  tail = content[-_END.size - _LONGEST_COMMENT:].tobytes()
  at = tail.rfind(b'PK\5\6')
  if at < 0:
    raise ValueError('it is cut short: the end of a zip file is missing')
  _, disk, _, _, count, size, begin, _ = _END.unpack_from(tail, at)
  at += content.size - len(tail)
  end = at
  locator = content[max(at - _LOCATOR.size, 0):at].tobytes()
  if locator[:4] == b'PK\6\7':
    _, _, place, _ = _LOCATOR.unpack(locator)
    _, _, _, _, disk, _, _, count, size, begin = _END_64.unpack(
        content[place:place + _END_64.size].tobytes())
    end = place
  if disk or begin + size != end:
    raise ValueError('its directory is not where its end says')
  if size > _LONGEST_DIRECTORY:
    raise ValueError(
        f'its directory has {size:,} bytes, more than {_LONGEST_DIRECTORY:,}')
  return begin, end, count


def _central(
    directory: bytes, count: int) -> Iterator[tuple[int, str, int, int]]:
  """Yields the place of each entry's own header, its name, size and CRC."""
  at = 0
  while at < len(directory):
    (mark, _, _, flags, method, _, _, crc, packed, size, name_length,
     extra_length, comment_length, _, _, _, header) = _CENTRAL.unpack_from(
         directory, at)
    at += _CENTRAL.size
    raw = directory[at:at + name_length]
    extra = directory[at + name_length:at + name_length + extra_length]
    at += name_length + extra_length + comment_length
    name = raw.decode('utf-8', 'backslashreplace')
    count -= 1
    if mark != b'PK\1\2':
      raise ValueError('its directory is damaged')
    if method or flags & 1:
      raise ValueError(
          f'its entry {name[:100]!r} is compressed or encrypted, which torch '
          'does not do')
    if not name.isprintable() or '..' in name.split('/') or name[:1] == '/':
      raise ValueError(f'its entry {name[:100]!r} leads out of a folder')
    size, packed, header = _wide(extra, size, packed, header)
    if size != packed:
      raise ValueError(f'its entry {name[:100]!r} has two sizes')
    yield header, name, size, crc
  if count:
    raise ValueError('its directory has another length than its end says')


def _wide(extra: bytes, *numbers: int) -> Iterator[int]:
  """Yields numbers of 32 bits; where they were too long, those in `extra`."""
  wide = b''
  while len(extra) >= 4:
    kind, length = struct.unpack_from('<2H', extra)
    if kind == 1:
      wide = extra[4:4 + length]
    extra = extra[4 + length:]
  for number in numbers:
    if number == _IN_64_BITS:
      number, = struct.unpack_from('<Q', wide)
      wide = wide[8:]
    yield number


def _begin(content: np.ndarray, header: int, name: str) -> int:
  """Returns the first byte of an entry, which comes after its own header."""
  local = content[header:header + _LOCAL.size].tobytes()
  mark, *_, name_length, extra_length = _LOCAL.unpack(local)
  begin = header + _LOCAL.size
  again = content[begin:begin + name_length].tobytes()
  if mark != b'PK\3\4' or again.decode('utf-8', 'backslashreplace') != name:
    raise ValueError(f'its entry {name[:100]!r} is not where it should be')
  return begin + name_length + extra_length
