"""The origin of a result is described."""
import shlex
import subprocess
import sys

import jax
import pytest

from lmjax.core import provenance


def test_describes_versions_devices_and_command():
  facts = provenance.describe()
  assert facts['versions']['jax'] == jax.__version__
  assert facts['devices'] == [len(jax.devices()), jax.devices()[0].device_kind]
  assert facts['command'] and facts['started'] and facts['cores'] >= 1


def test_the_git_state_is_none_outside_a_checkout(tmp_path, monkeypatch):
  monkeypatch.setattr(provenance, '__file__', str(tmp_path / 'x.py'))
  assert provenance.describe()['git'] is None


@pytest.mark.parametrize('word', [
    '--config.samples.prompts=To be, or', "it's", 'a "b"', 'two\nlines',
    '--x=\u00e9\u4e16', '$HOME', '`date`', '*.txt', '', '!x', '\\', '~/a'])
def test_a_shell_reads_the_command_as_it_was_given(monkeypatch, word):
  given = ['python', 'experiments/pretrain.py', word, '--workdir=runs/x']
  monkeypatch.setattr(sys, 'orig_argv', given)
  command = provenance.describe()['command']
  assert shlex.split(command) == given
  args = command.removeprefix('python ')
  found = subprocess.run(['sh', '-c', f"printf '%s\\0' {args}"], check=True,
                         capture_output=True, text=True).stdout
  assert found.split('\0')[:-1] == given[1:]


def test_secrets_of_the_command_are_hidden(monkeypatch):
  monkeypatch.setattr(sys, 'orig_argv', ['python', 'x.py', '--api_key=a b'])
  assert provenance.describe()['command'] == (
      "python x.py '--api_key=[redacted]'")
