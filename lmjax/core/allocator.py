"""Keeps freed memory in the process: the largest single lever on a CPU."""
import ctypes
import functools
import sys

import jax

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # From malloc.h.


@functools.cache
def keep_pages() -> None:
  """Makes a process reuse its big buffers instead of mapping them anew.

  By default glibc maps every large buffer of a step, has it zeroed page by page
  and unmaps it again, which costs a small Transformer on a CPU a third of its
  time. Raising its thresholds ends that, but only for the main thread: other
  threads' arenas hold at most 64 MB. So computations on a CPU also run in the
  thread that asks for them, which is a sixth faster again for larger models.

  Called by every script at its start and by the training and decoding loops; a
  notebook calls it before its first array, since JAX settles the second half
  when it starts. The first half does nothing where there is no glibc.
  """
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  if not sys.platform.startswith('linux'):
    return
  try:
    mallopt = ctypes.CDLL('libc.so.6').mallopt
  except (OSError, AttributeError):  # Another C library, such as musl.
    return
  mallopt(_MMAP_THRESHOLD, 2**31 - 1)
  mallopt(_TRIM_THRESHOLD, 2**31 - 1)
  mallopt(_TOP_PAD, 256 << 20)
