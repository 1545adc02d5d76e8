"""Measures the machine's peak rates of matrix products and of reading memory.

  python benchmarks/machine.py

Other benchmarks print their figures as fractions of these rates.
"""
import json
import os
import platform
import time

import jax
import jax.numpy as jnp


def best_seconds(function, repeats: int = 7) -> float:
  """Returns the seconds of the fastest of several calls, after a warm-up."""
  function()
  best = float('inf')
  for _ in range(repeats):
    begin = time.perf_counter()
    function()
    best = min(best, time.perf_counter() - begin)
  return best


def gemm_gflops(size: int, dtype: str = 'float32') -> float:
  """Returns the GFLOP/s of XLA's product of two square matrices."""
  x = jnp.ones((size, size), dtype)
  product = jax.jit(lambda x: x @ x)
  seconds = best_seconds(lambda: product(x).block_until_ready())
  return 2 * size**3 / seconds / 1e9


def read_gbytes(megabytes: int = 512) -> float:
  """Returns the GB/s at which a large array is summed."""
  x = jnp.ones((megabytes << 18,), jnp.float32)
  total = jax.jit(jnp.sum)
  return x.nbytes / best_seconds(lambda: total(x).block_until_ready()) / 1e9


def processor() -> str:
  """Returns the processor's name from the operating system."""
  try:
    with open('/proc/cpuinfo') as lines:
      return next(line.split(':', 1)[1].strip() for line in lines
                  if line.startswith('model name'))
  except (OSError, StopIteration):
    return platform.processor()


def describe() -> dict[str, object]:
  """Returns the names, versions and peak rates of this machine."""
  return {
      'processor': processor(),
      'cores': len(os.sched_getaffinity(0)),
      'device': jax.devices()[0].device_kind,
      'python': platform.python_version(),
      'jax': jax.__version__,
      'float32_gemm_gflops': round(
          max(gemm_gflops(1024), gemm_gflops(2048)), 1),
      'bfloat16_gemm_gflops': round(
          max(gemm_gflops(1024, 'bfloat16'), gemm_gflops(2048, 'bfloat16')), 1),
      'read_gbytes_per_s': round(read_gbytes(), 1),
  }


if __name__ == '__main__':
  print(json.dumps(describe(), indent=2))
