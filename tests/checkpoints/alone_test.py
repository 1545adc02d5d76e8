"""Orbax's options for one process of several."""
import jax

from lmjax.checkpoints import alone


def test_one_process_of_several_acts_alone(monkeypatch):
  assert alone.options() == {}
  monkeypatch.setattr(jax, 'process_count', lambda: 3)
  monkeypatch.setattr(jax, 'process_index', lambda: 2)
  found = alone.options()['multiprocessing_options']
  assert found.primary_host == 2 and found.active_processes == {2}
