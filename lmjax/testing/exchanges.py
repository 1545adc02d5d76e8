"""Lists the collectives of a compiled step: their kinds, sizes and counts.

If the compiler chooses the wrong sharding of an array, the numbers are still
right but the step is slow: it gathers a parameter, or sums a gradient in every
iteration of a loop. With this list a test can show that it does not.
"""
import collections
from collections.abc import Iterator
import dataclasses
import math
import re

KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all',
         'collective-permute')


@dataclasses.dataclass(frozen=True)
class Exchange:
  """A collective: one instruction that devices execute together.

  Attributes:
    kind: One of `KINDS`.
    shapes: Shapes of its output arrays on a device.
    size: Bytes of its output arrays on a device.
    devices: Number of devices that exchange data with one another.
    times: Number of times that a step executes it.
  """
  kind: str
  shapes: tuple[tuple[int, ...], ...]
  size: int
  devices: int
  times: int

  @property
  def sent(self) -> float:
    """Bytes that a device sends per step, if the devices form a ring.

    References:
      Thakur et al., Optimization of Collective Communication Operations in
      MPICH, 2005, sections 4.1-4.5 (for many bytes).
    """
    others = self.devices - 1
    share = {'all-reduce': 2 * others / self.devices,
             'all-gather': others / self.devices,
             'reduce-scatter': others,  # Its output is already a share.
             'all-to-all': others / self.devices,
             'collective-permute': 1}
    return self.times * self.size * share[self.kind]


def of_step(text: str, devices: int) -> list[Exchange]:
  """Returns all exchanges of a compiled program between at least two devices.

  Both branches of a condition count, and a loop of unknown length counts once.

  Args:
    text: The program, from `jax.jit(...).lower(...).compile().as_text()`.
    devices: Number of devices that it is compiled for.

  Example:
    >>> import jax, jax.numpy as jnp
    >>> count = jax.local_device_count()
    >>> total = jax.pmap(lambda x: jax.lax.psum(x, 'data'), axis_name='data')
    >>> text = total.lower(jnp.ones((count, 3))).compile().as_text()
    >>> {each.kind for each in of_step(text, count)} <= {'all-reduce'}
    True
  """
  computations = _computations(text)
  times = _times(computations)
  return [exchange for name, lines in computations.items() for line in lines
          for exchange in _exchange(line, devices, times[name])
          if exchange.devices > 1 and exchange.times]


_ENTRY = 'the entry'
_HEAD = re.compile(r'(ENTRY )?%?([\w.\-]+) \(.*\{$')
_CALLED = re.compile(
    r'(?:body|condition|to_apply|calls|true_computation|false_computation)='
    r'%?([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def _computations(text: str) -> dict[str, list[str]]:
  """Returns the instructions of each computation, the entry included."""
  found, name = {}, None
  for line in text.splitlines():
    if match := _HEAD.match(line.strip()):
      name = _ENTRY if match[1] else match[2]
      found[name] = []
    elif name is not None and ' = ' in line:
      found[name].append(line)
  return found


def _times(computations: dict[str, list[str]]) -> dict[str, int]:
  """Returns the number of times each computation is executed."""
  calls = {name: list(_calls(lines)) for name, lines in computations.items()}
  times = collections.Counter()

  def visit(name, count):
    times[name] += count
    for called, repeats in calls.get(name, ()):
      visit(called, count * repeats)

  visit(_ENTRY, 1)
  return times


def _calls(lines: list[str]) -> Iterator[tuple[str, int]]:
  for line in lines:
    names = _CALLED.findall(line)
    if match := _BRANCHES.search(line):
      names += [name.strip().lstrip('%') for name in match[1].split(',')]
    trips = _TRIPS.search(line)
    for name in names:
      yield name, int(trips[1]) if trips else 1


_INSTRUCTION = re.compile(r' = (.*?) (%s)(-start)?\(' % '|'.join(KINDS))
_ARRAY = re.compile(r'([a-z]+)(\d*)\w*\[([\d,]*)\]')


def _exchange(line: str, devices: int, times: int) -> Iterator[Exchange]:
  if not (match := _INSTRUCTION.search(line)):
    return
  kind, begun = match[2], match[3]
  arrays = _ARRAY.findall(match[1])
  if begun and kind != 'all-reduce':  # Lists the inputs, then the outputs.
    arrays = arrays[len(arrays) // 2:]
  shapes = tuple(tuple(int(n) for n in shape.split(',') if n)
                 for _, _, shape in arrays)
  size = sum(math.prod(shape) * max(int(bits or 8) // 8, 1)
             for shape, (_, bits, _) in zip(shapes, arrays))
  yield Exchange(kind, shapes, size, _together(line, kind, devices), times)


def _together(line: str, kind: str, devices: int) -> int:
  """Returns the size of the device groups of an instruction."""
  if kind == 'collective-permute':
    pairs = re.findall(r'\{(\d+),(\d+)\}', line)
    return 2 if any(a != b for a, b in pairs) else 1
  if match := re.search(r'replica_groups=\{\{([\d,]*)\}', line):
    return len(match[1].split(','))
  if match := re.search(r'replica_groups=\[(\d+),(\d+)\]', line):
    return int(match[2])
  if match := re.search(
      r'replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}', line):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    return math.prod(  # Sizes of whole axes, or of named parts of them.
        int(part or sizes[axis]) for axis, part in re.findall(
            r"'(\w+)'(?::\(\d+\)(\d+))?", match[2]))
  return devices
