"""Rates are tokens over training time."""
import types

import jax
import pytest

from lmjax.training import throughput


@pytest.fixture
def clock(monkeypatch):
  now = types.SimpleNamespace(s=100.0)
  monkeypatch.setattr(throughput.time, 'perf_counter', lambda: now.s)
  return now


def test_rates_leave_out_other_work(clock, monkeypatch):
  monkeypatch.setattr(throughput, '_measured_peak', lambda: 1e6)
  meter = throughput.Meter(jax.devices(), flops_per_step=125e3)
  meter.start()
  clock.s += 2
  assert meter.read(1000, steps=4) == {'tokens_per_s': 500.0, 'mfu': 0.25}
  clock.s += 1.5
  meter.stop()
  clock.s += 60  # An evaluation.
  meter.start()
  clock.s += 0.5  # The row covers the time before it too.
  assert meter.read(1000, steps=4) == {'tokens_per_s': 500.0, 'mfu': 0.25}


def test_no_flops_no_utilisation_and_the_unit_is_named(clock):
  meter = throughput.Meter(jax.devices(), unit='texts')
  meter.start()
  clock.s += 1
  assert meter.read(10, steps=1) == {'texts_per_s': 10.0}


@pytest.mark.parametrize('peaks, shares', [
    ([100.0, 400.0], [0.5, 0.5]),  # It was measured on a busy machine.
    ([100.0, 150.0, 190.0], [None, None]),  # It still is busy.
    ([100.0, 50.0, 250.0], [None, 0.8])])
def test_more_than_the_peak_is_never_said_but_measured_again(
    clock, monkeypatch, peaks, shares):
  peaks = iter(peaks)
  monkeypatch.setattr(throughput, 'peak_flops',
                      lambda devices, again=False: next(peaks))
  meter = throughput.Meter(jax.devices(), flops_per_step=200.0)
  meter.start()
  for share in shares:
    clock.s += 1
    assert meter.read(10, steps=1).get('mfu') == share


@pytest.mark.parametrize('kind, peak', [
    ('NVIDIA H100 80GB HBM3', 989e12), ('NVIDIA H100 PCIe', 756e12),
    ('NVIDIA A100-SXM4-40GB', 312e12), ('NVIDIA L4', 121e12),
    ('NVIDIA L40S', 362e12), ('Tesla T4', 65e12), ('NVIDIA A10', 125e12),
    ('TPU v4', 275e12), ('TPU v5 lite', 197e12), ('TPU v5p', 459e12),
    ('TPU v6 lite', 918e12), ('Quantum 9000', None)])
def test_data_sheet(kind, peak):
  device = types.SimpleNamespace(platform='other', device_kind=kind)
  assert throughput.peak_flops([device]) == peak
  if peak:
    assert throughput.peak_flops([device] * 4) == 4 * peak


def test_host_devices_share_one_cpu():
  one = throughput.peak_flops(jax.devices()[:1])
  assert one == throughput.peak_flops(jax.devices()) and one > 1e8


def test_a_cpu_is_measured_again_when_asked(monkeypatch):
  rates = iter([5.0, 7.0, 9.0, 8.0])
  monkeypatch.setattr(throughput, '_best_rate', lambda size: next(rates))
  throughput._measured_peak.cache_clear()
  found = [throughput.peak_flops(jax.devices(), again)
           for again in (False, False, True)]
  throughput._measured_peak.cache_clear()
  assert found == [7.0, 7.0, 9.0]
