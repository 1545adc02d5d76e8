"""Peak rates and memory of accelerators, from data sheets or as described."""
import dataclasses
import re

from lmjax.core import config
from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Device:
  """An accelerator.

  Attributes:
    bfloat16: Dense FLOP/s of bfloat16 products (float16 on older GPUs).
    float32: Dense FLOP/s of float32 products with JAX's default precision,
      which is TF32 on GPUs that have it and one bfloat16 pass on a TPU.
    bandwidth: Bytes per second of the device's memory.
    memory: Bytes of the device's memory.
    link: Bytes per second that the device can send over its fast links.
    island: Number of devices that these links connect.
    network: Bytes per second that the device can send beyond the island.
    source: Source of the figures.
  """
  bfloat16: float
  float32: float
  bandwidth: float
  memory: float
  link: float
  island: int
  network: float
  source: str


# Dense peak FLOP/s by `jax.Device.device_kind`, in bfloat16 (float16 on older
# GPUs) with float32 accumulation, from the vendors' data sheets (NVIDIA without
# sparsity; TPU per device as JAX counts them). The first name that is part of a
# kind counts.
_PEAKS = {
    'B200': 2250e12, 'GH200': 989e12, 'H200': 989e12, 'H100 PCIe': 756e12,
    'H100': 989e12, 'A100': 312e12, 'A10G': 70e12, 'A10': 125e12,
    'L40S': 362e12, 'L4': 121e12, 'V100': 125e12, 'T4': 65e12,
    'TPU v2': 23e12, 'TPU v3': 61.5e12, 'TPU v4 lite': 138e12,
    'TPU v4': 275e12, 'TPU v5 lite': 197e12, 'TPU v5e': 197e12,
    'TPU v5p': 459e12, 'TPU v5': 459e12, 'TPU v6 lite': 918e12,
    'TPU v6e': 918e12, 'TPU7x': 1153e12,
}
_GIB = 2**30
_NIC = 50e9  # 400 Gbit/s a GPU, as in NVIDIA's DGX H100 and H200.
_TPU = 'Cloud TPU documentation, system architecture of the '

# Links count one direction, half of the data sheets' figures for both.
DEVICES: dict[str, Device] = {
    'b200': Device(
        _PEAKS['B200'], 1125e12, 8.0e12, 180e9, 900e9, 8, _NIC,
        'NVIDIA DGX B200 data sheet'),
    'h200': Device(
        _PEAKS['H200'], 494e12, 4.8e12, 141e9, 450e9, 8, _NIC,
        'NVIDIA H200 data sheet (SXM)'),
    'h100': Device(
        _PEAKS['H100'], 494e12, 3.35e12, 80e9, 450e9, 8, _NIC,
        'NVIDIA H100 data sheet (SXM)'),
    'a100-80': Device(
        _PEAKS['A100'], 156e12, 2.039e12, 80e9, 300e9, 8, 25e9,
        'NVIDIA A100 data sheet (SXM, 80 GB), DGX A100 (200 Gbit/s)'),
    'a100-40': Device(
        _PEAKS['A100'], 156e12, 1.555e12, 40e9, 300e9, 8, 25e9,
        'NVIDIA A100 data sheet (SXM, 40 GB), DGX A100 (200 Gbit/s)'),
    'l4': Device(
        _PEAKS['L4'], 60e12, 300e9, 24e9, 32e9, 8, 12.5e9,
        'NVIDIA L4 data sheet (PCIe 4.0 x16; 100 Gbit/s assumed)'),
    'v100': Device(
        _PEAKS['V100'], 15.7e12, 900e9, 32e9, 150e9, 8, 12.5e9,
        'NVIDIA V100 data sheet (SXM2; 100 Gbit/s assumed)'),
    't4': Device(
        _PEAKS['T4'], 8.1e12, 300e9, 16e9, 16e9, 4, 6.25e9,
        'NVIDIA T4 data sheet (PCIe 3.0 x16; 50 Gbit/s assumed)'),
    'tpu-v4': Device(
        _PEAKS['TPU v4'], 275e12, 1228e9, 32 * _GIB, 300e9, 4096, 6.25e9,
        _TPU + 'v4'),
    'tpu-v5e': Device(
        _PEAKS['TPU v5e'], 197e12, 819e9, 16 * _GIB, 200e9, 256, 3.125e9,
        _TPU + 'v5e'),
    'tpu-v5p': Device(
        _PEAKS['TPU v5p'], 459e12, 2765e9, 95 * _GIB, 600e9, 8960, 6.25e9,
        _TPU + 'v5p'),
    'tpu-v6e': Device(
        _PEAKS['TPU v6e'], 918e12, 1640e9, 32 * _GIB, 400e9, 256, 12.5e9,
        _TPU + 'v6e'),
}


def named(name: str) -> Device:
  """Returns the device with a name from the table, or with given figures.

  Args:
    name: A name, or figures such as `described` reads.

  Raises:
    InputError: If the name is unknown, or the figures cannot be read.
  """
  if ':' in name:
    return described(name)
  if name not in DEVICES:
    raise errors.InputError(
        f'--device={name} is not in the table; choose from '
        f'{", ".join(DEVICES)}, or describe it: --device={_EXAMPLE}.'
        f'{config.near(name, DEVICES)}')
  return DEVICES[name]


_EXAMPLE = 'memory:24GiB,flops:82T,bandwidth:1TB/s'
# The fields of a device by their names in a description, with their units.
_FIGURES = {
    'memory': ('memory', 'B'), 'flops': ('bfloat16', 'FLOP/s'),
    'bandwidth': ('bandwidth', 'B/s'), 'float32': ('float32', 'FLOP/s'),
    'link': ('link', 'B/s'), 'network': ('network', 'B/s'),
    'island': ('island', '')}
_PREFIXES = {'': 1, 'k': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12, 'P': 1e15,
             'Ki': 2**10, 'Mi': 2**20, 'Gi': 2**30, 'Ti': 2**40}


def described(text: str) -> Device:
  """Returns the device with figures such as 'memory:24GiB,flops:82T'.

  Args:
    text: Pairs name:figure. `memory`, `flops` (dense FLOP/s in bfloat16) and
      `bandwidth` have to be given. `float32` is `flops` by default. For several
      devices, `link` and `network` are bytes per second that a device can send
      to the `island` devices near it and beyond: by default 32 GB/s of PCIe 4.0
      x16, 12.5 GB/s of a network of 100 Gbit/s, and 8.

  Raises:
    InputError: If a name or a figure cannot be read, or one is missing.

  Example:
    >>> device = described('memory:24GiB,flops:82T,bandwidth:1TB/s')
    >>> device.memory, device.bfloat16 == device.float32, device.bandwidth
    (25769803776.0, True, 1000000000000.0)
  """
  found = {}
  for pair in text.split(','):
    name, _, figure = pair.partition(':')
    if name not in _FIGURES:
      raise errors.InputError(
          f'--device={text}: {name!r} is no figure of a device; they are '
          f'{", ".join(_FIGURES)}, as in --device={_EXAMPLE}.'
          f'{config.near(name, _FIGURES)}')
    field, unit = _FIGURES[name]
    found[field] = _figure(name, figure, unit)
  missing = [name for name in ('memory', 'flops', 'bandwidth')
             if _FIGURES[name][0] not in found]
  if missing:
    raise errors.InputError(
        f'--device={text} needs {" and ".join(missing)} too, as in '
        f'--device={_EXAMPLE}.')
  found.setdefault('float32', found['bfloat16'])
  others = {'link': 32e9, 'network': 12.5e9, 'island': 8}
  found = others | found | {'island': int(found.get('island', 8))}
  return Device(**found, source='the flag --device')


def _figure(name: str, text: str, unit: str) -> float:
  """Returns a positive number with a prefix and, perhaps, its unit."""
  match = re.fullmatch(
      rf'([\d.]+(?:e[+-]?\d+)?)\s*([kMGTP]?i?)({re.escape(unit)})?', text)
  try:
    value = float(match[1]) * _PREFIXES[match[2]]
    right = value > 0 and (unit != 'B' or match[3])  # 24 or 24G is no memory.
  except (TypeError, ValueError, LookupError):
    right = False
  if not right:
    example = {'B': '24GiB', 'B/s': '1TB/s', 'FLOP/s': '82T', '': '8'}[unit]
    raise errors.InputError(
        f'--device: {name}:{text} should be a number above 0'
        + (f' in {unit}' if unit else '') + f', such as {name}:{example}.')
  return value


def peak(kind: str) -> float | None:
  """Returns the bfloat16 peak FLOP/s of a kind of device, or None if unknown.

  Args:
    kind: JAX's name for it, `jax.Device.device_kind`.

  Example:
    >>> peak('NVIDIA H100 80GB HBM3')
    989000000000000.0
  """
  return next((peak for name, peak in _PEAKS.items()
               if name.lower() in kind.lower()), None)
