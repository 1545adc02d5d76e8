"""One function loads runs of any kind."""
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax import experiment
from lmjax.recipes.loaded import loading


@pytest.mark.parametrize('config, reader', [
    (experiment.Finetune(), 'tuned.load'),
    (experiment.Pretrain(), 'trained.load_any'),
    (experiment.Count(), 'trained.load_any')])
def test_a_run_is_read_by_what_reads_its_kind(
    tmp_path, monkeypatch, config, reader):
  (tmp_path / 'config.json').write_text(config_lib.dumps(config))
  for name in 'tuned.load', 'trained.load_any':
    monkeypatch.setattr(f'lmjax.recipes.loaded.loading.{name}',
                        lambda *args, name=name: (name, *args))
  assert loading.load(tmp_path, 'latest') == (reader, tmp_path, 'latest')


def test_what_is_no_run_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='not a run directory'):
    loading.load(tmp_path)
