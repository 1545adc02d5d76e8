"""Throughput: tokens per second, and the fraction of peak FLOP/s they use."""
import functools
import time

import jax
import jax.numpy as jnp

from lmjax.parallel import devices as devices_lib


def peak_flops(devices: list[jax.Device]) -> float | None:
  """Returns the total peak FLOP/s of devices, or None if it is unknown.

  For GPUs and TPUs it is the bfloat16 peak from the data sheet. For a CPU it is
  the measured rate of a float32 1024^3 matrix product; several CPU devices
  count once, since they share the same cores.
  """
  device = devices[0]
  if device.platform == 'cpu':
    return _measured_peak()
  peak = devices_lib.peak(device.device_kind)
  return None if peak is None else peak * len(devices)


@functools.cache
def _measured_peak(size: int = 1024, repeats: int = 5) -> float:
  """Returns the best FLOP/s of several float32 matrix products on the CPU."""
  device = jax.local_devices(backend='cpu')[0]
  x = jax.device_put(jnp.ones((size, size), jnp.float32), device)
  product = jax.jit(lambda x: x @ x)
  product(x).block_until_ready()
  best = float('inf')
  for _ in range(repeats):
    begin = time.perf_counter()
    product(x).block_until_ready()
    best = min(best, time.perf_counter() - begin)
  return 2 * size**3 / best


class Meter:
  """Measures tokens per second of training time, without evaluations and saves.
  """

  def __init__(
      self, devices: list[jax.Device], flops_per_token: float | None = None):
    self._flops_per_token = flops_per_token
    self._peak = peak_flops(devices) if flops_per_token else None
    self._begin = None

  def start(self) -> None:
    """Starts the clock, or restarts it after an evaluation or a save."""
    self._begin = time.perf_counter()

  def read(self, tokens: float) -> dict[str, float]:
    """Returns the rates since the last `start` or `read`.

    Args:
      tokens: The number of tokens trained on in that time.

    Returns:
      `tokens_per_s`, and `mfu` if FLOPs per token and the peak are known.
    """
    now = time.perf_counter()
    rate = tokens / max(now - self._begin, 1e-9)
    self._begin = now
    row = {'tokens_per_s': rate}
    if self._peak:
      row['mfu'] = rate * self._flops_per_token / self._peak
    return row
