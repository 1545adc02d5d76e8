"""Keeps freed memory in the process: the largest single lever on a CPU."""
import ctypes
import functools
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # From malloc.h.


@functools.cache
def keep_pages() -> None:
  """Tells glibc to reuse big buffers instead of returning them to the kernel.

  By default every large buffer of a step is mapped, zeroed page by page and
  unmapped again, which costs a small Transformer on a CPU a third of its time.
  Called by the training and decoding loops; affects allocations from then on.
  Does nothing where there is no glibc.
  """
  if not sys.platform.startswith('linux'):
    return
  try:
    mallopt = ctypes.CDLL('libc.so.6').mallopt
  except (OSError, AttributeError):  # Another C library, such as musl.
    return
  mallopt(_MMAP_THRESHOLD, 2**31 - 1)
  mallopt(_TRIM_THRESHOLD, 2**31 - 1)
  mallopt(_TOP_PAD, 256 << 20)
