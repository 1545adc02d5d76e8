"""MLflow with a store of files holds what was written."""
import numpy as np
import pytest

from lmjax.training.trackers import ml_flow
from lmjax.training.trackers import tracker

mlflow = pytest.importorskip('mlflow')
pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path, monkeypatch):
  monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
  return ml_flow.MLflow(uri=(tmp_path / 'store').as_uri(), experiment='tests')


def only_run(config):
  client = mlflow.MlflowClient(config.uri)
  experiment = client.get_experiment_by_name('tests')
  run, = client.search_runs([experiment.experiment_id])
  return client, run


def test_rows_config_and_texts_are_written(tmp_path, config):
  with tracker.opened([config], tmp_path) as (out,):
    out.describe({f'field.{i}': i for i in range(250)})
    out.write(5, {'loss': 1.5, 'valid/loss': 2.0, 'batch': 'a1b2'})
    out.write(6, {'loss': float('nan')})
    out.text(6, 'samples/0', 'ünï')
    out.histogram(6, 'x', np.ones(1), np.ones(2))
  client, run = only_run(config)
  assert run.info.status == 'FINISHED' and run.info.run_name == tmp_path.name
  assert len(run.data.params) == 250 and run.data.params['field.7'] == '7'
  assert run.data.metrics['valid/loss'] == 2.0
  steps = [m.step for m in client.get_metric_history(run.info.run_id, 'loss')]
  assert steps == [5, 6]
  path = mlflow.artifacts.download_artifacts(
      run_id=run.info.run_id, artifact_path='samples/0/step_6.txt',
      tracking_uri=config.uri, dst_path=str(tmp_path / 'out'))
  assert open(path, encoding='utf-8').read() == 'ünï'


def test_a_run_that_continues_is_the_same_run_without_rows_twice(
    tmp_path, config):
  for start, steps in (0, (1, 2, 3)), (2, (3, 4)):
    with tracker.opened([config], tmp_path, start) as (out,):
      out.describe({'rate': start})
      for step in steps:
        out.write(step, {'loss': float(step)})
  client, run = only_run(config)
  found = client.get_metric_history(run.info.run_id, 'loss')
  assert [m.step for m in found] == [1, 2, 3, 4]
  assert run.data.params == {'rate': '0'}
