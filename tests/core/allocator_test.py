"""glibc's thresholds are set, and other C libraries are left alone."""
import ctypes
import sys

import jax

from lmjax.core import allocator


class Library:
  """A C library that records what it is told."""

  def __init__(self):
    self.calls = []

  def mallopt(self, option, value):
    self.calls.append((option, value))
    return 1


def test_sets_the_three_thresholds_once(monkeypatch):
  library = Library()
  monkeypatch.setattr(sys, 'platform', 'linux')
  monkeypatch.setattr(ctypes, 'CDLL', lambda name: library)
  allocator.keep_pages.cache_clear()
  allocator.keep_pages()
  allocator.keep_pages()
  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of malloc.h.
  assert [option for option, _ in library.calls] == [-3, -1, -2]
  assert all(value > 2**27 for _, value in library.calls)
  allocator.keep_pages.cache_clear()


def test_computations_run_in_the_calling_thread(monkeypatch):
  told = []
  monkeypatch.setattr(
      jax.config, 'update', lambda name, value: told.append((name, value)))
  allocator.keep_pages.cache_clear()
  allocator.keep_pages()
  assert told == [('jax_cpu_enable_async_dispatch', False)]
  allocator.keep_pages.cache_clear()


def test_does_nothing_without_glibc(monkeypatch):
  def missing(name):
    raise OSError(name)
  monkeypatch.setattr(ctypes, 'CDLL', missing)
  for platform in ('darwin', 'linux'):
    monkeypatch.setattr(sys, 'platform', platform)
    allocator.keep_pages.cache_clear()
    allocator.keep_pages()
  allocator.keep_pages.cache_clear()
