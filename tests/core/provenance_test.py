"""The origin of a result is described."""
import jax

from lmjax.core import provenance


def test_describes_versions_devices_and_command():
  facts = provenance.describe()
  assert facts['versions']['jax'] == jax.__version__
  assert facts['devices'] == [len(jax.devices()), jax.devices()[0].device_kind]
  assert facts['command'] and facts['started'] and facts['cores'] >= 1


def test_the_git_state_is_none_outside_a_checkout(tmp_path, monkeypatch):
  monkeypatch.setattr(provenance, '__file__', str(tmp_path / 'x.py'))
  assert provenance.describe()['git'] is None
