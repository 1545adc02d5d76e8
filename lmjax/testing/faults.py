"""Faults for a training loop: kills, damaged files, a full disk, NaN batches.

This module works with any training loop: a program under test is a command, a
file that it writes, or a function from the step to a batch. For example, check
that a run that was killed eight times equals one that was never killed:

  from lmjax.testing import faults

  def command(folder):
    return [sys.executable, 'train.py', f'--out={folder}']

  subprocess.run(command('whole'), check=True)
  faults.run_with_kills(
      command('killed'), 'killed/metrics.jsonl', np.random.default_rng(0),
      kills=8)
  faults.assert_bitwise(load('killed'), load('whole'))

`train.py` writes a line to `metrics.jsonl` at every step, a JSON object with a
'step'. Let it write the `batch_hash` of each step too: if data are skipped or
repeated after a kill, the hashes show at which step, which the loss may not.
"""
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
import contextlib
import errno
import functools
import os
import pathlib
import signal as signal_lib
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import digests
from lmjax.core import trees
from lmjax.testing import commands

DAMAGES = ('delete', 'empty', 'half', 'flip')
_WRITES = ('open', 'os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.link',
           'os.symlink', 'os.truncate')
_read_only = []  # Directories that may not be written to now.

batch_hash = digests.batch


def flip_bit(path: str | os.PathLike[str], rng: np.random.Generator) -> int:
  """Flips one random bit of a file, in place; returns its number.

  Args:
    path: A file that is not empty.
    rng: Generator that draws the bit.

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
  """Cuts off the end of a file, in place; returns its new size in bytes.

  Args:
    path: A file.
    keep: The share of its bytes to keep; 0 empties it.
  """
  if not 0 <= keep <= 1:
    raise ValueError(f'keep should be between 0 and 1; got {keep}.')
  size = int(pathlib.Path(path).stat().st_size * keep)
  os.truncate(path, size)
  return size


def damage(path: str | os.PathLike[str], how: str,
           rng: np.random.Generator) -> None:
  """Damages a file: 'delete', 'empty', 'half' or 'flip' (a random bit)."""
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

  A file is damaged during one iteration and then restored, even if it was moved
  or the caller raised an error.

  Args:
    directory: The directory of the files.
    rng: Generator that draws the bits to flip.
    damages: Some of 'delete', 'empty', 'half' and 'flip'.

  Yields:
    The damage and the file, such as 'flip params/d/0'. A damage that would
    change nothing, such as emptying an empty file, is left out.

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
    step: The step to wait for; 0 only waits for `delay_s`.
    reached: Function that returns the last step, or the JSON lines file that
      the command logs to (see `commands.last_step`).
    signal: The signal to send.
    delay_s: Seconds to wait after the step; a random delay also hits events
      between two lines of the log, such as a save.
    timeout_s: Most seconds to wait for the step, and then for the end.
    **options: Arguments of `subprocess.Popen`.

  Returns:
    How the command ended: by the signal, or by itself before it reached the
    step.

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
  """Starts a command, kills it and restarts it several times, then lets it end.

  Args:
    command: The program and its arguments, the same for every start.
    reached: Function or file that gives the last step, as in `kill_at_step`.
    rng: Generator that draws when to kill.
    kills: Number of times to kill it with SIGKILL.
    apart: Fewest and most steps between two kills.
    delay_s: Most seconds by which a kill is delayed, to hit saves too.
    timeout_s: Most seconds that a start may take.
    **options: Arguments of `subprocess.Popen`.

  Returns:
    How each start ended; the last one ends by itself.

  Raises:
    AssertionError: If the command ended with an exit code other than 0, or
      finished before the last kill; in that case, give it more steps.
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
  """Limits the size of a process's files, to act like a full disk.

  Sets the limit RLIMIT_FSIZE: writing more raises OSError ('File too large')
  instead of 'No space left on device'. It needs no privileges and does not
  affect other processes; child processes started in the block inherit it.

  Args:
    largest_file: Limit in bytes; choose it above the size of logs and below the
      size of saves.
    pid: Id of another process (Linux only); 0 is this process.
  """
  import resource  # Windows has neither the module nor the limit.

  def limit(*values):
    if pid:
      return resource.prlimit(pid, resource.RLIMIT_FSIZE, *values)
    if values:  # Python ignores the signal that accompanies the error.
      resource.setrlimit(resource.RLIMIT_FSIZE, *values)
    return resource.getrlimit(resource.RLIMIT_FSIZE)

  before = limit()
  limit((largest_file, before[1]))
  try:
    yield
  finally:
    with contextlib.suppress(ProcessLookupError):  # It may have ended.
      limit(before)


@contextlib.contextmanager
def read_only(directory: str | os.PathLike[str]) -> Iterator[None]:
  """Lets this process only read a directory, as on a read-only file system.

  Python's own ways to write there raise OSError. Unlike `os.chmod`, this stops
  the superuser too.

  Example:
    >>> with read_only('/tmp'):
    ...   open('/tmp/file', 'w')
    Traceback (most recent call last):
    ...
    OSError: [Errno 30] Read-only file system: '/tmp/file'
  """
  _watch_writes()
  path = os.path.join(os.path.realpath(directory), '')
  _read_only.append(path)
  try:
    yield
  finally:
    _read_only.remove(path)


@functools.cache
def _watch_writes():
  sys.addaudithook(_refuse)  # Which cannot be removed again.


def _refuse(event, args):
  """Raises OSError for an event that would change a read-only directory."""
  if not _read_only or event not in _WRITES:
    return
  if event == 'open' and not args[2] & (
      os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
    return
  for path in args[:2]:
    if isinstance(path, str | bytes | os.PathLike) and os.path.join(
        os.path.realpath(os.fsdecode(path)), '').startswith(tuple(_read_only)):
      raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))


def inject_nan(batches: Any, steps: Container[int]) -> Any:
  """Returns batches whose float entries are NaN at some steps.

  The only floats that a causal model reads are the weights of targets. NaN
  weights make the loss and every gradient NaN.

  Args:
    batches: A function from the step to a batch, or an iterable of batches,
      counted from 0. A batch is any tree of arrays.
    steps: The steps whose batches become NaN.

  Returns:
    A function or an iterable, like `batches`; a function keeps its attributes.

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
  """Raises AssertionError unless trees have the same paths, types and bits.

  Unlike equality, 0.0 differs from -0.0, and a NaN is equal to itself.

  Args:
    got: A tree of arrays; keys of `jax.random` are compared by their data.
    want: The expected tree.

  Raises:
    AssertionError: If trees differ; names the first path and the difference.

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
