"""Long lists of numbered names in a few words: `h.{0..11}.attn.bias`."""
from collections.abc import Iterable
import re

_NUMBER = re.compile(r'(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])')


def grouped(names: Iterable[str], most: int = 20) -> list[str]:
  """Returns names, in which those that differ in one number are one entry.

  Args:
    names: Names of tensors, or paths of parameters.
    most: The largest number of entries; more are counted in the last one.

  Example:
    >>> grouped(['h.0.bias', 'h.1.bias', 'h.2.bias', 'h.4.bias', 'wte'])
    ['h.{0..2,4}.bias', 'wte']
  """
  names = set(names)
  place = 0
  while True:  # Merges the first number of all names, then the second, ...
    groups: dict[tuple[str, str], set[int]] = {}
    others = set()
    for name in names:
      numbers = list(_NUMBER.finditer(name))
      if len(numbers) > place:
        found = numbers[place]
        groups.setdefault((name[:found.start()], name[found.end():]), set()
                          ).add(int(found[0]))
      else:
        others.add(name)
    if not groups:
      break
    names = others | {
        f'{before}{_ranges(numbers)}{after}'
        for (before, after), numbers in groups.items()}
    place += 1
  found = sorted(names, key=lambda name: [
      int(part) if part.isdigit() else part
      for part in re.split(r'(\d+)', name)])
  if len(found) > most:
    found = [*found[:most - 1], f'and {len(found) - most + 1} more']
  return found


def _ranges(numbers: set[int]) -> str:
  """Returns numbers as one, or as ranges in braces."""
  runs: list[list[int]] = []
  for number in sorted(numbers):
    if runs and runs[-1][1] == number - 1:
      runs[-1][1] = number
    else:
      runs.append([number, number])
  said = ','.join(str(first) if first == last else f'{first}..{last}'
                  for first, last in runs)
  return said if said.isdigit() else f'{{{said}}}'
