"""Throughput: tokens per second, and the fraction of peak FLOP/s in use."""
import functools
import time

import jax
import jax.numpy as jnp

from lmjax.parallel import devices as devices_lib


def peak_flops(
    devices: list[jax.Device], again: bool = False) -> float | None:
  """Returns the total peak FLOP/s of devices, or None if it is unknown.

  For GPUs and TPUs it is the bfloat16 peak from the data sheet. For a CPU it is
  the best measured rate of float32 matrix products; several CPU devices count
  once, since they share the same cores.

  Args:
    devices: The devices.
    again: Whether to measure a CPU again, rather than once in a process.
  """
  device = devices[0]
  if device.platform == 'cpu':
    if again:
      _measured_peak.cache_clear()
    return _measured_peak()
  peak = devices_lib.peak(device.device_kind)
  return None if peak is None else peak * len(devices)


@functools.cache
def _measured_peak() -> float:
  """Returns the best FLOP/s of many float32 matrix products on the CPU.

  Each product takes milliseconds. On a busy machine some of the short ones run
  undisturbed, and the large ones are faster on an idle machine.
  """
  return max(_best_rate(size) for size in (512, 1024))


def _best_rate(size: int, seconds: float = 0.1, least: int = 5) -> float:
  """Returns the best FLOP/s of products of two matrices [size, size]."""
  device = jax.local_devices(backend='cpu')[0]
  x = jax.device_put(jnp.ones((size, size), jnp.float32), device)
  product = jax.jit(lambda x: x @ x)
  product(x).block_until_ready()
  begun, times = time.perf_counter(), []
  while len(times) < least or time.perf_counter() - begun < seconds:
    begin = time.perf_counter()
    product(x).block_until_ready()
    times.append(time.perf_counter() - begin)
  return 2 * size**3 / min(times)


class Meter:
  """Measures the speed of training, without evaluations, saves and compilation.
  """

  def __init__(
      self, devices: list[jax.Device], flops_per_step: float | None = None,
      unit: str = 'tokens'):
    """Measures the peak of the devices if FLOPs per step are given.

    Args:
      devices: The devices that the run uses.
      flops_per_step: FLOPs of a training step on all devices; None leaves out
        `mfu`.
      unit: What is counted, such as 'tokens'.
    """
    self._devices, self._flops, self._unit = devices, flops_per_step, unit
    self._peak = peak_flops(devices) if flops_per_step else None
    self._seconds, self._begin = 0.0, None

  def start(self) -> None:
    """Starts the clock, at first or after `stop`."""
    self._begin = time.perf_counter()

  def stop(self) -> None:
    """Stops the clock until `start`, for work that is not training."""
    if self._begin is not None:
      self._seconds += time.perf_counter() - self._begin
      self._begin = None

  def read(self, count: float, steps: int) -> dict[str, float]:
    """Returns the rates since the last `read`, or since the first `start`.

    Args:
      count: The number of tokens, or of another unit, trained on in that time.
      steps: The number of steps in that time.

    Returns:
      `tokens_per_s`, or the rate of another unit. If FLOPs per step and the
      peak are known, also `mfu`, the fraction of the peak: at most 1, and left
      out if the peak cannot be right.
    """
    self.stop()
    seconds, self._seconds = max(self._seconds, 1e-9), 0.0
    self.start()
    row = {f'{self._unit}_per_s': count / seconds}
    if self._peak:
      used = self._flops * steps / seconds
      if used > self._peak:  # The machine was busy when it was measured.
        self._peak = max(self._peak, peak_flops(self._devices, again=True))
      if used <= self._peak:
        row['mfu'] = used / self._peak
    return row
