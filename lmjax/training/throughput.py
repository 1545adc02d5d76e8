"""Tokens per second, and the share of the machine's peak that they use."""
import functools
import time

import jax
import jax.numpy as jnp

# Dense peak in FLOP/s: bfloat16 with float32 accumulation, from the vendors'
# data sheets (NVIDIA without sparsity; TPU per device as JAX counts them).
_PEAKS = {
    'B200': 2250e12, 'GH200': 989e12, 'H200': 989e12, 'H100 PCIe': 756e12,
    'H100': 989e12, 'A100': 312e12, 'A10G': 70e12, 'A10': 125e12,
    'L40S': 362e12, 'L4': 121e12, 'V100': 125e12, 'T4': 65e12,
    'TPU v2': 23e12, 'TPU v3': 61.5e12, 'TPU v4 lite': 138e12,
    'TPU v4': 275e12, 'TPU v5 lite': 197e12, 'TPU v5e': 197e12,
    'TPU v5p': 459e12, 'TPU v5': 459e12, 'TPU v6 lite': 918e12,
    'TPU v6e': 918e12, 'TPU7x': 1153e12,
}


def peak_flops(devices: list[jax.Device]) -> float | None:
  """Returns the peak FLOP/s of some devices together; None where unknown.

  GPUs and TPUs: the data sheet's bfloat16 peak. CPU: the rate of a float32
  1024^3 matrix product, measured once; host devices share the same cores and
  count once.
  """
  device = devices[0]
  if device.platform == 'cpu':
    return _measured_peak()
  for kind, peak in _PEAKS.items():
    if kind.lower() in device.device_kind.lower():
      return peak * len(devices)
  return None


@functools.cache
def _measured_peak(size: int = 1024, repeats: int = 5) -> float:
  """Returns FLOP/s of the best of some float32 matrix products on the CPU."""
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
  """Divides tokens by the time spent training, leaving out all other time."""

  def __init__(
      self, devices: list[jax.Device], flops_per_token: float | None = None):
    self._flops_per_token = flops_per_token
    self._peak = peak_flops(devices) if flops_per_token else None
    self._begin = None

  def start(self) -> None:
    """Starts, or starts again after an evaluation or the like."""
    self._begin = time.perf_counter()

  def read(self, tokens: float) -> dict[str, float]:
    """Returns the rates since the last `start` or `read`.

    Args:
      tokens: Trained on in that time.

    Returns:
      `tokens_per_s`, and `mfu` where FLOPs a token and the peak are known.
    """
    now = time.perf_counter()
    rate = tokens / max(now - self._begin, 1e-9)
    self._begin = now
    row = {'tokens_per_s': rate}
    if self._peak:
      row['mfu'] = rate * self._flops_per_token / self._peak
    return row
