"""How Orbax is told which processes take part."""
import jax

from lmjax.checkpoints import alone


def test_one_of_several_acts_for_itself(monkeypatch):
  assert alone.options() == {}
  monkeypatch.setattr(jax, 'process_count', lambda: 3)
  monkeypatch.setattr(jax, 'process_index', lambda: 2)
  found = alone.options()['multiprocessing_options']
  assert found.primary_host == 2 and found.active_processes == {2}
