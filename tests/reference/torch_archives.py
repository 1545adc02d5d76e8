"""Files as `torch.save` writes them, made without torch and without pickle."""
import dataclasses
import io
from typing import Any
import zipfile

import numpy as np

STORAGES = {'float32': 'FloatStorage', 'float16': 'HalfStorage',
            'bfloat16': 'BFloat16Storage', 'int64': 'LongStorage',
            'bool': 'BoolStorage', 'uint8': 'ByteStorage'}
_MAGIC = 0x1950a86a20f9469cfc6c


@dataclasses.dataclass(frozen=True)
class Name:
  """A function or class, by its dotted name."""
  name: str


@dataclasses.dataclass(frozen=True)
class Call:
  """What a function would return for these arguments."""
  name: str
  arguments: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Identity:
  """What a file keeps outside of the pickle."""
  value: tuple[Any, ...]


def instructions(value: Any) -> bytes:
  """Returns the instructions that push a value."""
  match value:
    case None:
      return b'N'
    case bool():
      return b'\x88' if value else b'\x89'
    case int() if 0 <= value < 256:
      return b'K' + bytes([value])
    case int():
      raw = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
      return b'\x8a' + bytes([len(raw)]) + raw
    case str():
      raw = value.encode('utf-8', 'surrogatepass')
      return b'X' + len(raw).to_bytes(4, 'little') + raw
    case tuple():
      return b'(' + b''.join(map(instructions, value)) + b't'
    case list():
      return b'](' + b''.join(map(instructions, value)) + b'e'
    case dict():
      return b'}(' + b''.join(instructions(part) for item in value.items()
                              for part in item) + b'u'
    case Name(name):
      module, _, name = name.rpartition('.')
      return f'c{module}\n{name}\n'.encode()
    case Call(name, arguments):
      return instructions(Name(name)) + instructions(arguments) + b'R'
    case Identity(inner):
      return instructions(inner) + b'Q'
  raise TypeError(f'{value!r} has no instructions.')


def program(value: Any) -> bytes:
  """Returns a pickle of protocol 2."""
  return b'\x80\2' + instructions(value) + b'.'


def tensor(key: str, array: np.ndarray, offset=0, shape=None, strides=None,
           size=None, legacy=False) -> Call:
  """Returns what describes a tensor in the storage `key`, flat in `array`."""
  shape = array.shape if shape is None else shape
  strides = tuple(step // array.itemsize for step in array.strides
                  ) if strides is None else strides
  identity = ('storage', Name(f'torch.{STORAGES[array.dtype.name]}'), key,
              'cpu', array.size if size is None else size)
  return Call('torch._utils._rebuild_tensor_v2', (
      Identity(identity + (None,) * legacy), offset, shape, strides, False,
      Call('collections.OrderedDict', ())))


def zip_of(value: Any, storages: dict[str, bytes],
           compression=zipfile.ZIP_STORED, **more: bytes) -> bytes:
  """Returns a file since torch 1.6."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', compression) as archive:
    archive.writestr('archive/data.pkl',
                     value if isinstance(value, bytes) else program(value))
    for name, content in more.items():
      archive.writestr(f'archive/{name}', content)
    for key, content in storages.items():
      archive.writestr(f'archive/data/{key}', content)
  return file.getvalue()


def row_of(value: Any, storages: dict[str, np.ndarray], keys: Any = None,
           version: int = 1001) -> bytes:
  """Returns a file before torch 1.6."""
  keys = [*storages] if keys is None else keys
  programs = [_MAGIC, version, {'little_endian': True}, value, keys]
  return b''.join([
      *map(program, programs),
      *(array.size.to_bytes(8, 'little') + array.tobytes()
        for array in storages.values())])
