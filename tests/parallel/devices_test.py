"""The table of devices is consistent and names its sources."""
import pytest

from lmjax.core import errors
from lmjax.parallel import devices


def test_every_device_is_possible_and_has_a_source():
  for device in devices.DEVICES.values():
    assert 0 < device.float32 <= device.bfloat16
    assert device.memory < device.bandwidth < device.bfloat16
    assert device.network <= device.link < device.bandwidth
    assert device.island > 1 and device.source


@pytest.mark.parametrize('name, kind', [
    ('b200', 'NVIDIA B200'), ('h200', 'NVIDIA H200'),
    ('h100', 'NVIDIA H100 80GB HBM3'), ('a100-80', 'NVIDIA A100-SXM4-80GB'),
    ('a100-40', 'NVIDIA A100-SXM4-40GB'), ('l4', 'NVIDIA L4'),
    ('v100', 'Tesla V100-SXM2-32GB'), ('t4', 'Tesla T4'),
    ('tpu-v4', 'TPU v4'), ('tpu-v5e', 'TPU v5 lite'), ('tpu-v5p', 'TPU v5p'),
    ('tpu-v6e', 'TPU v6 lite')])
def test_peaks_are_found_by_jax_device_kinds(name, kind):
  assert devices.DEVICES[name].bfloat16 == devices.peak(kind)


def test_slower_variants_have_their_own_peaks():
  assert devices.peak('NVIDIA H100 PCIe') < devices.peak('NVIDIA H100 NVL')
  assert devices.peak('NVIDIA L4') < devices.peak('NVIDIA L40S')
  assert devices.peak('NVIDIA A10G') < devices.peak('NVIDIA A10')
  assert devices.peak('Quantum 9000') is None


def test_an_unknown_device_is_refused_with_the_nearest():
  with pytest.raises(errors.InputError, match='choose from .*h100.*h200'):
    devices.named('h201')
