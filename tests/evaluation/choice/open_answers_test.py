"""Questions without options: prompts, what counts as right, bad lines."""
import dataclasses
import json

import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import open_answers
from lmjax.evaluation.choice import sensitivity
from lmjax.evaluation.choice import shots
from lmjax.evaluation.choice import wording

CAPITALS = [
    {'question': 'Capital of France?', 'answers': ['Paris', 'City of Light']},
    {'query': 'Capital of Italy?', 'answer': 'Rome'},
    {'context': 'Capital of Spain?', 'continuation': 'Madrid'}]


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'capitals.jsonl'
  path.write_text('\n'.join(map(json.dumps, CAPITALS)))
  return str(path)


class Writer:
  """Writes the same texts, and keeps what it was asked for."""

  def __init__(self, *texts):
    self.texts, self.asked = texts, []

  def __call__(self, prompts, limit, stop):
    self.asked.append((list(prompts), limit, stop))
    return list(self.texts)


def test_answers_are_compared_with_each_true_one(path, tmp_path):
  write = Writer(' the city of light. ', ' Rome, Italy', 'I do not know')
  report, = open_answers.OpenAnswers(paths=(path,), tokens=9).evaluate(
      write, context=64)
  (prompts, limit, stop), = write.asked
  assert prompts == ['Capital of France?', 'Capital of Italy?',
                     'Capital of Spain?']
  assert (limit, stop) == (9, ('\n',))
  assert [row.exact for row in report.rows] == [1, 0, 0]
  assert report.rows[1].f1 == pytest.approx(2 / 3)
  assert report.exact == pytest.approx(1 / 3)
  assert report.f1 == pytest.approx((1 + 2 / 3) / 3)
  tree = report.to_dict()
  assert tree['exact'] == report.exact and tree['questions'] == 3
  assert tree['exact_stderr'] == pytest.approx(1 / 3)
  assert (tree['name'], tree['context']) == ('capitals', 64)
  open_answers.save(tmp_path / 'answers.jsonl', [report])
  lines = [json.loads(line) for line in (
      tmp_path / 'answers.jsonl').read_text().splitlines()]
  assert lines[0] == {
      'questions': 'capitals', 'prompt': 'Capital of France?',
      'answers': ['Paris', 'City of Light'], 'written': 'the city of light.',
      'exact': 1.0, 'f1': 1.0}


def test_solved_examples_come_first_in_the_words_of_the_template(path):
  config = open_answers.OpenAnswers(
      paths=(path,), limit=1, stop=('.', r'\n\n'), delimiter=' = ',
      shots=shots.Shots(count=2, draw='first', separator='; '),
      template=wording.Template('Q: {question}'))
  write = Writer('Paris')
  config.evaluate(write)
  assert write.asked == [([
      'Q: Capital of Italy? = Rome; Q: Capital of Spain? = Madrid; '
      'Q: Capital of France?'], 32, ('.', '\n\n'))]


def test_each_template_and_seed_has_a_report(path):
  config = open_answers.OpenAnswers(
      paths=(path,), shots=shots.Shots(count=1, seeds=(1, 2)),
      more_templates=(wording.Template('{query}'),))
  found = config.evaluate(Writer('Paris', 'Rome', 'Rome'))
  assert [one.title for one in found] == [
      f'capitals (seed {seed}, template {template})'
      for template in (0, 1) for seed in (1, 2)]
  spread = sensitivity.spreads(found)
  assert {one.metric for one in spread} == {'exact', 'F1'}
  assert spread[0].mean == pytest.approx(2 / 3) and spread[0].deviation == 0
  assert open_answers.table(found).row_count == 4


def test_chinese_has_its_own_rules(path):
  config = open_answers.OpenAnswers(paths=(path,), limit=1, match='cmrc')
  right = open_answers.OpenAnswers(paths=(path,), limit=1)
  written = Writer('a Paris')
  assert config.evaluate(written)[0].exact == 0
  assert right.evaluate(written)[0].exact == 1  # Without the article.


@pytest.mark.parametrize('line, message', [
    ({'question': 'a', 'answers': []}, 'not empty; got'),
    ({'question': 'a', 'answers': ['b', ' ']}, 'not empty; got'),
    ({'question': 3, 'answers': ['b']}, 'question should be a text; got 3'),
    ({'question': 'a', 'answrs': 'b'}, 'no answers or answer or contin'),
    ({'answers': 'b'}, 'has no question or query or context')])
def test_a_line_that_is_no_question_is_refused(line, message, tmp_path):
  path = tmp_path / 'bad.jsonl'
  path.write_text(json.dumps(line))
  with pytest.raises(errors.InputError, match=message) as refused:
    open_answers.read(str(path))
  assert 'bad.jsonl:1' in str(refused.value)


def test_a_file_without_questions_is_refused(tmp_path):
  (tmp_path / 'empty.jsonl').write_text('\n')
  with pytest.raises(errors.InputError, match='has no questions'):
    open_answers.read(str(tmp_path / 'empty.jsonl'))


def test_examples_may_come_from_a_file_of_their_own(path, tmp_path):
  other = tmp_path / 'solved.jsonl'
  other.write_text('{"question": "1 + 1?", "answers": ["2", "two"]}')
  config = open_answers.OpenAnswers(paths=(path,), limit=1)
  write = Writer('Paris')
  dataclasses.replace(
      config, shots=shots.Shots(count=1, path=str(other))).evaluate(write)
  assert write.asked[0][0] == ['1 + 1? 2\n\nCapital of France?']


def test_lines_beyond_the_limit_are_not_read(path):
  with open(path, 'a') as file:
    file.write('\nno JSON')
  config = open_answers.OpenAnswers(paths=(path,), limit=1)
  assert len(config.evaluate(Writer('Paris'))[0].rows) == 1


def test_the_delimiter_of_examples_is_always_there(tmp_path):
  path = tmp_path / 'spaced.jsonl'
  path.write_text('\n'.join(json.dumps(
      {'question': f'{i}: ', 'answers': ['a']}) for i in range(2)))
  write = Writer('a')
  open_answers.OpenAnswers(paths=(str(path),), limit=1, shots=shots.Shots(
      count=1, draw='first')).evaluate(write)
  assert write.asked[0][0] == ['1:  a\n\n0: ']  # As the harness joins them.
