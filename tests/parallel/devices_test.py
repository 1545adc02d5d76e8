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


def test_a_device_can_be_described_by_its_figures():
  device = devices.named('memory:24GiB,flops:82T,bandwidth:1TB/s')
  assert (device.memory, device.bfloat16, device.bandwidth) == (
      24 * 2**30, 82e12, 1e12)
  assert device.float32 == device.bfloat16 and device.island == 8
  full = devices.named('memory:80GB,flops:1PFLOP/s,bandwidth:3.35e12,'
                       'float32:67T,link:450GB/s,island:4,network:50GB/s')
  assert full == devices.Device(
      1e15, 67e12, 3.35e12, 80e9, 450e9, 4, 50e9, 'the flag --device')


@pytest.mark.parametrize('text, words', [
    ('memory:24GiB', 'needs flops and bandwidth too, as in --device=memory:24'),
    ('memery:24GiB,flops:1T,bandwidth:1T', "'memery' .* Did you mean 'memory'"),
    ('memory:24,flops:1T,bandwidth:1T', 'memory:24 should .* in B, such as'),
    ('memory:many,flops:1T,bandwidth:1T', 'memory:many should be a number'),
    ('memory:1GiB,flops:0,bandwidth:1T', 'flops:0 should be a number above 0'),
    ('memory:1GiB,flops:82TB,bandwidth:1T', 'flops:82TB .* in FLOP/s, .*82T'),
    ('memory:1GiB,flops:1.2.3T,bandwidth:1T', 'flops:1.2.3T should'),
    ('memory:1GiB,flops:1T,bandwidth:1Pi', 'bandwidth:1Pi should'),
    ('memory:1GiB,,', "'' is no figure")])
def test_figures_that_cannot_be_read_are_refused(text, words):
  with pytest.raises(errors.InputError, match=words):
    devices.named(text)
