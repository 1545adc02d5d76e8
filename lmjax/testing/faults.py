"""Faults for a training loop: kills, damaged files, a full disk, NaN batches.

Nothing here knows lmjax's own loop: a program under test is a command, a file
that it writes, or a function from the step to a batch. Is a run that was
killed eight times the run that was never killed?

  from lmjax.testing import faults

  def command(folder):
    return [sys.executable, 'train.py', f'--out={folder}']

  subprocess.run(command('whole'), check=True)
  faults.run_with_kills(
      command('killed'), 'killed/metrics.jsonl', np.random.default_rng(0),
      kills=8)
  faults.assert_bitwise(load('killed'), load('whole'))

`metrics.jsonl` is what `train.py` writes a line to at every step: a JSON object
with a 'step'. Log the `batch_hash` of each step there too; where data are
skipped or repeated after a kill, it says at which step, when the loss does not.
"""
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
import contextlib
import os
import pathlib
import signal as signal_lib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import digests
from lmjax.core import trees
from lmjax.testing import commands

DAMAGES = ('delete', 'empty', 'half', 'flip')

batch_hash = digests.batch


def flip_bit(path: str | os.PathLike[str], rng: np.random.Generator) -> int:
  """Flips one random bit of a file, in place; returns its number.

  Args:
    path: A file that is not empty.
    rng: Draws the bit.

  Example:
    >>> flip_bit('checkpoints/20/params/d/0', rng)  # doctest: +SKIP
    71345
  """
  path = pathlib.Path(path)
  data = bytearray(path.read_bytes())
  if not data:
    raise ValueError(f'{path} is empty and has no bit to flip.')
  bit = int(rng.integers(8 * len(data)))
  data[bit // 8] ^= 1 << bit % 8
  path.write_bytes(data)
  return bit


def truncate(path: str | os.PathLike[str], keep: float = 0.5) -> int:
  """Cuts a file's end off, in place; returns the bytes that are left.

  Args:
    path: A file.
    keep: The share of its bytes that stays: 0 empties it.
  """
  if not 0 <= keep <= 1:
    raise ValueError(f'keep should be between 0 and 1; got {keep}.')
  size = int(pathlib.Path(path).stat().st_size * keep)
  os.truncate(path, size)
  return size


def damage(path: str | os.PathLike[str], how: str,
           rng: np.random.Generator) -> None:
  """Damages a file: 'delete', 'empty', 'half' or 'flip' (one bit of it)."""
  if how not in DAMAGES:
    raise ValueError(f'how should be among {DAMAGES}; got {how!r}.')
  if how == 'delete':
    os.remove(path)
  elif how == 'flip':
    flip_bit(path, rng)
  else:
    truncate(path, 0.5 if how == 'half' else 0)


def damaged(
    directory: str | os.PathLike[str], rng: np.random.Generator,
    damages: Sequence[str] = DAMAGES,
) -> Iterator[str]:
  """Damages every file below a directory in every way, one at a time.

  While the caller looks at what an iteration yields, the file is damaged; then
  it is mended again, also if it was moved or the caller raised.

  Args:
    directory: Where the files lie.
    rng: Draws the bits to flip.
    damages: Among 'delete', 'empty', 'half' and 'flip'.

  Yields:
    What is wrong, such as 'flip params/d/0'. A damage that changes nothing, as
    emptying an empty file, is left out.

  Example:
    >>> for what in damaged('checkpoints/20', rng):  # doctest: +SKIP
    ...   assert restored_exactly(step=20) or restored_exactly(step=10), what
  """
  directory = pathlib.Path(directory)
  for path in sorted(p for p in directory.rglob('*') if p.is_file()):
    sound, stat = path.read_bytes(), path.stat()
    for how in damages:
      if not sound and how != 'delete':
        continue
      try:
        damage(path, how, rng)
        yield f'{how} {path.relative_to(directory)}'
      finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def kill_at_step(
    command: Sequence[str], step: int,
    reached: str | os.PathLike[str] | Callable[[], int], *,
    signal: int = signal_lib.SIGKILL, delay_s: float = 0.0,
    timeout_s: float = 300, **options: Any,
) -> commands.Ended:
  """Starts a command and sends it a signal once it has reached a step.

  Args:
    command: The program and its arguments.
    step: When the signal goes out; 0 sends it after `delay_s` alone.
    reached: What tells the last step: a function, or the JSON lines file that
      the command logs to (see `processes.last_step`).
    signal: What to send.
    delay_s: How much later than that; a random one also hits what happens
      between two rows, such as a save.
    timeout_s: How long the step, and then the end, may take.
    **options: Of `subprocess.Popen`.

  Returns:
    How the command ended, be it by the signal or, having never reached the
    step, by itself.

  Example:
    >>> ended = kill_at_step(['sleep', '9'], 0, lambda: 0)
    >>> ended.returncode
    -9
  """
  now = reached if callable(reached) else lambda: commands.last_step(reached)
  with commands.started(command, **options) as process:
    if process.wait_until(lambda: now() >= step, timeout_s):
      time.sleep(delay_s)
      process.send(signal)
    return process.wait(timeout_s)


def run_with_kills(
    command: Sequence[str],
    reached: str | os.PathLike[str] | Callable[[], int],
    rng: np.random.Generator, *, kills: int = 8,
    apart: tuple[int, int] = (1, 12), delay_s: float = 0.05,
    timeout_s: float = 300, **options: Any,
) -> list[commands.Ended]:
  """Starts a command again and again, kills it at random, lets it end at last.

  Args:
    command: The program and its arguments: the same for every start.
    reached: What tells the last step, as in `kill_at_step`.
    rng: Draws when to kill.
    kills: How often to kill it with SIGKILL.
    apart: Least and most steps from where it was killed to the next kill.
    delay_s: Most seconds that a kill is late, so as to hit saves too.
    timeout_s: Most seconds that a start may take.
    **options: Of `subprocess.Popen`.

  Returns:
    How each start ended, the last one by itself.

  Raises:
    AssertionError: If the command ended with another code than 0, or finished
      before it could be killed so often: then give it more steps.
  """
  now = reached if callable(reached) else lambda: commands.last_step(reached)
  ends = []
  while len(ends) < kills:
    ends.append(kill_at_step(
        command, now() + int(rng.integers(*apart, endpoint=True)), now,
        delay_s=float(rng.uniform(0, delay_s)), timeout_s=timeout_s,
        **options))
    if ends[-1].returncode != -signal_lib.SIGKILL:
      break
  else:
    with commands.started(command, **options) as process:
      ends.append(process.wait(timeout_s))
  if ends[-1].returncode or len(ends) <= kills:
    raise AssertionError(
        f'Start {len(ends)} of {kills + 1} ended by itself with code '
        f'{ends[-1].returncode} at step {now()}:\n{ends[-1].output[-4000:]}')
  return ends


@contextlib.contextmanager
def fill_disk(largest_file: int, pid: int = 0) -> Iterator[None]:
  """Lets no file of a process grow beyond a size, as on a full disk.

  By the limit RLIMIT_FSIZE: writing more raises OSError ('File too large')
  in place of 'No space left on device'. It needs no privileges and harms
  nobody else; children that are started within inherit it.

  Args:
    largest_file: Bytes: above what the process logs, below what it saves.
    pid: Of another process (Linux only); 0 is this one.
  """
  import resource  # Not on Windows, nor is the limit.

  def limit(*values):
    if pid:
      return resource.prlimit(pid, resource.RLIMIT_FSIZE, *values)
    if values:  # Python itself ignores the signal that comes with the error.
      resource.setrlimit(resource.RLIMIT_FSIZE, *values)
    return resource.getrlimit(resource.RLIMIT_FSIZE)

  before = limit()
  limit((largest_file, before[1]))
  try:
    yield
  finally:
    with contextlib.suppress(ProcessLookupError):  # It may have ended.
      limit(before)


def inject_nan(batches: Any, steps: Container[int]) -> Any:
  """Returns batches whose float entries are NaN at some steps.

  A causal model reads no floats but the weights of its targets; they are
  enough: the loss and every gradient become NaN.

  Args:
    batches: A function from the step to a batch, or an iterable of batches,
      counted from 0. A batch is any tree of arrays.
    steps: Where the NaN are.

  Returns:
    The same kind of thing; a function keeps its attributes.

  Example:
    >>> batches = inject_nan(lambda step: {'weights': np.ones(2)}, {3})
    >>> batches(2)['weights'], batches(3)['weights']
    (array([1., 1.]), array([nan, nan]))
  """
  def poisoned(step, batch):
    return jax.tree.map(_nan_like, batch) if step in steps else batch

  if callable(batches):
    return _Poisoned(batches, poisoned)
  return (poisoned(*pair) for pair in enumerate(_iterable(batches)))


def assert_bitwise(got: Any, want: Any) -> None:
  """Raises unless two trees hold the same bits under the same names and types.

  Stricter than equality: 0.0 is not -0.0, and a NaN is itself.

  Args:
    got: A tree of arrays; keys of `jax.random` count as their data.
    want: What it should be.

  Raises:
    AssertionError: Naming the first path that differs, and how.

  Example:
    >>> assert_bitwise({'a': np.float32(0)}, {'a': np.float32(-0.0)})
    Traceback (most recent call last):
    ...
    AssertionError: a: 1 of 1 values differ in their bits, the first at []: ...
  """
  got, want = (dict(trees.items(tree)) for tree in (got, want))
  for path in [*want, *(got.keys() - want.keys())]:
    if path not in got or path not in want:
      raise AssertionError(
          f'{path}: only in what '
          f'{"was got" if path in got else "was wanted"}.')
    one, other = _plain(got[path]), _plain(want[path])
    if (one.dtype, one.shape) != (other.dtype, other.shape):
      raise AssertionError(
          f'{path}: {one.dtype}{list(one.shape)} instead of '
          f'{other.dtype}{list(other.shape)}.')
    if one.tobytes() == other.tobytes():
      continue
    bits = [np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(
        a.size, a.itemsize) for a in (one, other)]
    differs = np.any(bits[0] != bits[1], axis=1)
    first = int(np.argmax(differs))
    place = [int(i) for i in np.unravel_index(first, one.shape)]
    raise AssertionError(
        f'{path}: {int(differs.sum())} of {one.size} values differ in their '
        f'bits, the first at {place}: {one.reshape(-1)[first]} instead of '
        f'{other.reshape(-1)[first]}.')


class _Poisoned:
  """A function of the step with some results replaced."""

  def __init__(self, batches, poisoned):
    self._batches, self._poisoned = batches, poisoned

  def __call__(self, step):
    return self._poisoned(step, self._batches(step))

  def __getattr__(self, name):
    return getattr(self._batches, name)


def _nan_like(leaf):
  if not jnp.issubdtype(np.asarray(leaf).dtype, np.floating):
    return leaf
  return np.full_like(leaf, np.nan)


def _iterable(batches) -> Iterable[Any]:
  try:
    return iter(batches)
  except TypeError:
    raise ValueError(
        'batches should be a function of the step or an iterable; got '
        f'{type(batches).__name__}.') from None


def _plain(leaf) -> np.ndarray:
  if hasattr(leaf, 'dtype') and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  return np.asarray(leaf)
