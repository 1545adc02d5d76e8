"""Tasks of the harness, and the same questions asked without it."""
import json
import pathlib
import sys

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import choices
from lmjax.evaluation.choice import shots
from lmjax.evaluation import harness_tasks
from lmjax.models.presets import decoders
from lmjax.recipes.loaded import trained as trained_lib
from tests import evaluate_script_test
from tests.recipes.loaded import trained_test

_TASKS = pathlib.Path(__file__).parents[2] / 'experiments/configs/lm_eval'
_RESULTS = {
    'results': {
        'piqa': {'alias': 'piqa', 'acc,none': 0.5, 'acc_stderr,none': 0.25,
                 'acc_norm,none': 1.0, 'acc_norm_stderr,none': 'N/A'},
        'sums': {'alias': 'sums', 'exact_match,strict': 0.0,
                 'exact_match_stderr,strict': float('nan')}},
    'groups': {'all': {'alias': 'all', 'acc,none': 0.25}},
    'n-shot': {'piqa': 0, 'sums': 5},
    'n-samples': {'piqa': {'original': 9, 'effective': 4}},
    'versions': {'piqa': 1.0},
}


def test_each_metric_of_a_task_and_of_a_group_is_a_score():
  found = list(harness_tasks.scores(_RESULTS))
  assert [(s.task, s.metric, s.filter, s.value, s.stderr)
          for s in found[:2] + found[3:]] == [
              ('piqa', 'acc', 'none', 0.5, 0.25),
              ('piqa', 'acc_norm', 'none', 1.0, None),
              ('all', 'acc', 'none', 0.25, None)]
  assert (found[0].shots, found[0].examples) == (0, 4)
  assert (found[2].task, found[2].filter, found[2].shots) == (
      'sums', 'strict', 5)
  table = harness_tasks.table(found)
  assert [str(cell) for cell in table.columns[3].cells] == [
      'acc', 'acc_norm', 'exact_match (strict)', 'acc']


def test_scores_are_saved_with_versions(tmp_path, monkeypatch):
  monkeypatch.setattr(
      harness_tasks.importlib.metadata, 'version', lambda name: f'1 {name}')
  harness_tasks.save(tmp_path / 'x.json', list(harness_tasks.scores(_RESULTS)),
                     _RESULTS, parameters_hash='p')
  tree = json.loads((tmp_path / 'x.json').read_text())
  assert tree['lm_eval'] == '1 lm_eval' and tree['parameters_hash'] == 'p'
  assert tree['task_versions'] == {'piqa': 1.0}
  assert [score['value'] for score in tree['scores']] == [0.5, 1, 0, 0.25]
  assert tree['scores'][2]['stderr'] is None  # JSON has no NaN.


def test_without_lm_eval_a_sentence_says_how_to_install_it(monkeypatch):
  monkeypatch.setitem(sys.modules, 'lm_eval', None)
  with pytest.raises(errors.InputError, match=r"pip install 'lmjax\[lm_eval\]"):
    harness_tasks.run(None, ['piqa'], None)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  path = tmp_path_factory.mktemp('run')
  model = decoders.gpt2(16, 1, 2, vocab_size=None, context=128)
  trained_test._run(path, model=model)
  return str(path)


def _data(folder):
  """Writes a file of questions for each task in `_TASKS`."""
  rng = np.random.default_rng(0)
  def text():
    return ' '.join(''.join(rng.choice(list('abcé'), rng.integers(1, 6)))
                    for _ in range(rng.integers(1, 6)))
  def gold(n):
    return int(rng.integers(n))
  rows = {
      'lm_eval/piqa': lambda: {'query': f'Question: {text()}\n', 'gold': gold(
          2), 'choices': [text(), text()]},
      'lm_eval/arc_easy': lambda: {'query': f'Question: {text()}', 'gold': gold(
          4), 'choices': [text() for _ in range(4)]},
      'lm_eval/copa': lambda: {'query': f'{text()}, so', 'gold': gold(2),
                               'choices': [text(), text()]},
      'lm_eval/lambada_openai': lambda: {
          'context': text(), 'continuation': text()[:1]},
      'lm_eval/winogrande': lambda: {
          'context_options': [text(), text()], 'continuation': text(),
          'gold': gold(2)},
      'blimp': lambda: {'sentence_good': text(), 'sentence_bad': text(),
                        **{rng.choice(['a', 'b']): 'A field of some lines.'}},
  }
  for name, row in rows.items():
    path = folder / f'data/{name}.jsonl'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row()) + '\n' for _ in range(30)))


_DELIMITERS = {'piqa': 'Answer: ', 'arc_easy': '\nAnswer: '}


@pytest.mark.slow
@pytest.mark.parametrize('count', [0, 2])
def test_questions_have_the_same_numbers_with_and_without_the_harness(
    count, workdir, tmp_path, monkeypatch):
  pytest.importorskip('lm_eval')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HF_DATASETS_CACHE', str(tmp_path / 'cache'))
  _data(tmp_path)
  names = ['piqa', 'arc_easy', 'copa', 'lambada_openai', 'winogrande', 'blimp']
  script = evaluate_script_test._script('lm_eval')
  found = script.evaluate(
      workdir, names, str(_TASKS), str(tmp_path / 'out'), limit=25,
      num_fewshot=count)
  by_name = {(score.task, score.metric): score for score in found}
  run = trained_lib.load(workdir)
  rate = trained_lib.rate(run, 128)
  for name in names:
    path = tmp_path / 'data' / (
        'blimp.jsonl' if name == 'blimp' else f'lm_eval/{name}.jsonl')
    mine, = choices.Choices(
        (str(path),), _DELIMITERS.get(name, ' '), limit=25, rule='harness',
        shots=shots.Shots(count)).evaluate(rate, run.tokenizer, context=128)
    score = by_name[name, 'acc']
    assert (score.value, score.examples) == (mine.accuracy, 25)
    if mine.accuracy_stderr:
      assert score.stderr == pytest.approx(mine.accuracy_stderr)
    if (name, 'acc_norm') in by_name:
      assert by_name[name, 'acc_norm'].value == mine.accuracy_norm
  assert len({round(score.value, 3) for score in found}) > 5
  tree = json.loads((tmp_path / 'out/lm_eval.json').read_text())
  assert tree['parameters_hash'] == run.digest and tree['limit'] == 25


@pytest.mark.slow
def test_tasks_that_cannot_be_run_are_refused_in_a_sentence(
    workdir, tmp_path, monkeypatch):
  pytest.importorskip('lm_eval')
  monkeypatch.chdir(tmp_path)  # Without data.
  monkeypatch.setenv('HF_DATASETS_CACHE', str(tmp_path / 'cache'))
  script = evaluate_script_test._script('lm_eval')
  for names, where, words in [
      (['piqqa'], _TASKS, "no task 'piqqa' in .*mean 'piqa'"),
      (['piqa'], _TASKS, 'piqa cannot be loaded .*data that exist'),
      (['piqa'], tmp_path / 'no', 'should be a folder'),
      (['piqa'], tmp_path, 'which has none'),
      ([], _TASKS, 'names of --tasks')]:
    with pytest.raises(errors.InputError, match=words):
      script.evaluate(workdir, names, str(where), str(tmp_path / 'out'))
