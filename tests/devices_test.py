"""The table of devices is consistent and names its sources."""
import pytest

from lmjax import devices
from lmjax.core import errors
from lmjax.training import throughput


def test_every_device_is_possible_and_has_a_source():
  for device in devices.DEVICES.values():
    assert 0 < device.float32 <= device.bfloat16
    assert device.memory < device.bandwidth < device.bfloat16
    assert device.network <= device.link < device.bandwidth
    assert device.island > 1 and device.source


def test_peaks_are_those_by_which_training_is_measured():
  measured = {name.lower().replace('tpu ', 'tpu-').replace(' ', '-'): peak
              for name, peak in throughput._PEAKS.items()}
  for name, device in devices.DEVICES.items():
    assert device.bfloat16 == measured[name.removesuffix('-80').removesuffix(
        '-40')], name


def test_an_unknown_device_is_refused_with_the_nearest():
  with pytest.raises(errors.InputError, match='choose from .*h100.*h200'):
    devices.named('h201')
