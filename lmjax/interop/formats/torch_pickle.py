"""The pickle of a torch file, read by a machine that can only describe tensors.

A pickle is a program, which may call any function by its name. This machine
knows the instructions that torch writes, and four names, which it answers with
records of its own: it imports nothing and calls nothing that the file names.

References:
  Python, Lib/pickletools.py: the instructions.
  PyTorch, torch/_utils.py: the arguments of `_rebuild_tensor_v2`.
"""
from collections.abc import Callable
import dataclasses
import io
import struct
from typing import Any

_MOST = 1 << 18  # Instructions; torch needs about 40 a tensor.
_STORAGES = {
    'torch.DoubleStorage': 'F64', 'torch.FloatStorage': 'F32',
    'torch.HalfStorage': 'F16', 'torch.BFloat16Storage': 'BF16',
    'torch.LongStorage': 'I64', 'torch.IntStorage': 'I32',
    'torch.ShortStorage': 'I16', 'torch.CharStorage': 'I8',
    'torch.ByteStorage': 'U8', 'torch.BoolStorage': 'BOOL',
    'torch.ComplexFloatStorage': 'C64',
}


@dataclasses.dataclass(frozen=True)
class Storage:
  """Numbers that tensors share.

  Attributes:
    dtype: Their type, as in `elements.DTYPES`.
    key: Their name in the file.
    size: How many they are.
  """
  dtype: str
  key: str
  size: int


@dataclasses.dataclass(frozen=True)
class View:
  """A tensor: some numbers of a storage.

  Attributes:
    storage: The storage.
    offset: The place of the first number in the storage.
    shape: The tensor's shape.
    strides: The distance between two neighbours along each axis, in numbers.
  """
  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def evaluate(stream: bytes) -> tuple[Any, int]:
  """Returns the value of a pickle, and how many bytes it took.

  Args:
    stream: Bytes that begin with the pickle.

  Returns:
    The value, where tensors are `View`, dictionaries have texts as keys, and
    everything else is of Python's own types.

  Raises:
    ValueError: If the pickle is damaged, or names what is no part of a tensor.
  """
  machine = _Machine(stream)
  try:
    value = machine.run()
  except (IndexError, KeyError, UnicodeDecodeError) as error:
    raise ValueError('its pickle is cut short or damaged') from error
  return value, machine.position


@dataclasses.dataclass(frozen=True)
class _Name:
  """A function or class that the pickle names."""
  name: str


class _Machine:
  """A stack, a memo, and the instructions that change them."""

  def __init__(self, stream: bytes):
    self._stream = io.BytesIO(stream)
    self._stack, self._marked, self._memo = [], [], {}

  @property
  def position(self) -> int:
    return self._stream.tell()

  def run(self) -> Any:
    for _ in range(_MOST):
      code = self._read(1)
      if code == b'.':
        return self._stack.pop()
      if code in _VALUES:
        self._stack.append(_VALUES[code](self))
      elif code in _CHANGES:
        _CHANGES[code](self)
      else:
        raise ValueError(
            f'its pickle has the instruction {code!r}, which describes no '
            'tensor')
    raise ValueError(f'its pickle has more than {_MOST:,} instructions')

  def _read(self, length: int) -> bytes:
    found = self._stream.read(length)
    if len(found) != length:
      raise IndexError('The pickle has no end.')
    return found

  def number(self, length: int, signed: bool = False) -> int:
    return int.from_bytes(self._read(length), 'little', signed=signed)

  def text(self, length: int) -> str:
    return self._read(length).decode('utf-8')

  def double(self) -> float:
    return struct.unpack('>d', self._read(8))[0]

  def lines(self) -> _Name:
    module, name = self._stream.readline(), self._stream.readline()
    return _known(f'{module.decode().strip()}.{name.decode().strip()}')

  def names(self) -> None:
    module, name = self._pop(2)
    self._stack.append(_known(f'{module}.{name}'))

  def skip(self, length: int) -> None:
    self._read(length)

  def mark(self) -> None:
    self._marked.append(self._stack)
    self._stack = []

  def _since_mark(self) -> list[Any]:
    items, self._stack = self._stack, self._marked.pop()
    return items

  def _pop(self, count: int) -> list[Any]:
    items = [self._stack.pop() for _ in range(count)]
    return items[::-1]

  def tuple_of(self, count: int | None = None) -> None:
    items = self._since_mark() if count is None else self._pop(count)
    self._stack.append(tuple(items))

  def put(self, key: int) -> None:
    self._memo[key] = self._stack[-1]

  def memoize(self) -> None:
    self.put(len(self._memo))

  def get(self, key: int) -> Any:
    return self._memo[key]

  def add(self, several: bool) -> None:
    """Adds items to a list."""
    items = self._since_mark() if several else self._pop(1)
    target = self._stack[-1]
    if not isinstance(target, list):
      raise ValueError('its pickle adds items to what is not a list')
    target.extend(items)

  def set(self, several: bool) -> None:
    """Sets items of a dictionary."""
    items = self._since_mark() if several else self._pop(2)
    target = self._stack[-1]
    if not isinstance(target, dict) or len(items) % 2:
      raise ValueError('its pickle sets items of what is not a dictionary')
    for key, value in zip(items[::2], items[1::2]):
      if not isinstance(key, str):  # Hashing a deep tuple would end Python.
        raise ValueError('its pickle has a dictionary with keys of other types')
      if key in target:
        raise ValueError(f'its pickle has the key {key[:100]!r} twice')
      target[key] = value

  def build(self) -> None:
    """Drops the state of a dictionary: torch notes its own version there."""
    target, _ = self._pop(2)
    if not isinstance(target, dict):
      raise ValueError('its pickle sets the state of what is not a dictionary')
    self._stack.append(target)

  def refer(self) -> None:
    """Replaces the identity of a storage by the storage."""
    identity, = self._pop(1)
    match identity:
      case ('storage', _Name(name), str(key), str(), int(size)) | (
          'storage', _Name(name), str(key), str(), int(size), None
      ) if name in _STORAGES and size >= 0:
        self._stack.append(Storage(_STORAGES[name], key, size))
      case _:
        raise ValueError('its pickle refers to what is not a storage')

  def reduce(self) -> None:
    """Replaces a name and its arguments by what they describe."""
    called, arguments = self._pop(2)
    match called, arguments:
      case _Name('collections.OrderedDict'), ():
        value = {}
      case (_Name('torch._utils._rebuild_tensor_v2'),
            (Storage() as storage, int(offset), tuple(shape), tuple(strides),
             *_)):
        value = View(storage, offset, shape, strides)
      case _Name('torch._utils._rebuild_parameter'), (View() as value, *_):
        pass
      case _Name(name), _:
        raise ValueError(f'its pickle has other arguments of {name} than torch')
      case _:
        raise ValueError('its pickle calls what is not a function')
    self._stack.append(value)


_NAMES = {'collections.OrderedDict', 'torch._utils._rebuild_tensor_v2',
          'torch._utils._rebuild_parameter', *_STORAGES}


def _known(name: str) -> _Name:
  """Returns a name; refuses those that are not part of a tensor's layout."""
  if name not in _NAMES:
    raise ValueError(
        f'its pickle names {name[:100]!r}, which is no part of a tensor; '
        'nothing was run, and a file of weights alone is needed, best as '
        'safetensors')
  return _Name(name)


_VALUES: dict[bytes, Callable[[_Machine], Any]] = {  # They push a value.
    b'N': lambda machine: None,
    b'\x88': lambda machine: True,
    b'\x89': lambda machine: False,
    b'}': lambda machine: {},
    b']': lambda machine: [],
    b')': lambda machine: (),
    b'K': lambda machine: machine.number(1),
    b'M': lambda machine: machine.number(2),
    b'J': lambda machine: machine.number(4, signed=True),
    b'\x8a': lambda machine: machine.number(machine.number(1), signed=True),
    b'G': _Machine.double,
    b'X': lambda machine: machine.text(machine.number(4)),
    b'\x8c': lambda machine: machine.text(machine.number(1)),
    b'c': _Machine.lines,
    b'h': lambda machine: machine.get(machine.number(1)),
    b'j': lambda machine: machine.get(machine.number(4)),
}
_CHANGES: dict[bytes, Callable[[_Machine], None]] = {
    b'\x80': lambda machine: machine.skip(1),  # The version of the protocol.
    b'\x95': lambda machine: machine.skip(8),  # The length of what follows.
    b'\x93': _Machine.names,
    b'(': _Machine.mark,
    b't': _Machine.tuple_of,
    b'\x85': lambda machine: machine.tuple_of(1),
    b'\x86': lambda machine: machine.tuple_of(2),
    b'\x87': lambda machine: machine.tuple_of(3),
    b'q': lambda machine: machine.put(machine.number(1)),
    b'r': lambda machine: machine.put(machine.number(4)),
    b'\x94': _Machine.memoize,
    b'a': lambda machine: machine.add(several=False),
    b'e': lambda machine: machine.add(several=True),
    b's': lambda machine: machine.set(several=False),
    b'u': lambda machine: machine.set(several=True),
    b'b': _Machine.build,
    b'Q': _Machine.refer,
    b'R': _Machine.reduce,
}
