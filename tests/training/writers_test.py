"""Rows are written once by each writer."""
import io
import json
import math
import re

import pytest

from lmjax.core import errors
from lmjax.testing import faults
from lmjax.testing import power_cut
from lmjax.training import writers


def test_rows_are_on_disk_at_once(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  out = writers.JsonLines(path)
  out.write(1, {'loss': 2.5})
  out.write(2, {'loss': math.nan})
  first, second = map(json.loads, path.read_text().splitlines())
  assert first == {'step': 1, 'loss': 2.5}
  assert second['loss'] == 'nan'  # JSON itself has no NaN.
  assert math.isnan(writers.read(path)[1]['loss'])
  out.close()


def test_a_log_that_was_closed_survives_a_power_cut(tmp_path):
  with power_cut.recorded(tmp_path) as recording:
    out = writers.JsonLines(tmp_path / 'metrics.jsonl')
    out.write(1, {'loss': 2.5})
    out.close()
  end, = (cut.files for cut in recording.cuts
          if cut.when == 'at the end' and cut.lost == 'all')
  assert end == {'metrics.jsonl': b'{"step": 1, "loss": 2.5}\n'}


def test_a_run_that_was_taken_over_writes_nothing_to_the_new_file(tmp_path):
  def lost():
    raise errors.RunError('taken over')
  path = tmp_path / 'metrics.jsonl'
  out = writers.JsonLines(path, check=lost)
  out.write(1, {'loss': 2.5})
  other = writers.JsonLines(path, start=1)
  with pytest.raises(errors.RunError, match='taken over'):
    out.write(2, {'loss': 2.5})
  other.close()
  assert len(writers.read(path)) == 1


def test_a_continued_run_has_no_row_twice(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  out = writers.JsonLines(path)
  for step in 10, 20, 30:
    out.write(step, {'loss': 1.0})
  out.close()
  with open(path, 'a') as file:
    file.write('{"step": 40, "lo')  # Killed while writing.
  out = writers.JsonLines(path, start=20)
  out.write(30, {'loss': 2.0})
  out.close()
  assert writers.read(path) == [
      {'step': 10, 'loss': 1.0}, {'step': 20, 'loss': 1.0},
      {'step': 30, 'loss': 2.0}]


def test_a_new_run_starts_empty(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  out = writers.JsonLines(path)
  out.write(1, {'loss': 1.0})
  out.close()
  writers.JsonLines(path).close()
  assert writers.read(path) == []
  assert writers.read(tmp_path / 'absent') == []


def test_a_broken_line_is_named(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_text('{"step": 1}\nstep 2\n')
  with pytest.raises(errors.InputError, match=r'metrics.jsonl:2 is not'):
    writers.JsonLines(path, start=1)


def written(path, steps):
  out = writers.JsonLines(path)
  for step in steps:
    out.write(step, {'loss': 1.0})
  out.close()
  return path.read_text().splitlines(keepends=True)


@pytest.mark.parametrize('cut, found, where', [
    (slice(3, 5), 8, ': none of steps 31 to 59'), (slice(0, 2), 8,
     ': none of steps 1 to 29'), (slice(7, 10), 7, ': none of steps 71 to 100'),
    (slice(0, 10), 0, ': none of steps 1 to 100'), (slice(9, 10), 9,
     ': none of steps 91 to 100')])
def test_rows_that_were_lost_are_named(tmp_path, caplog, cut, found, where):
  path = tmp_path / 'metrics.jsonl'
  lines = written(path, range(10, 130, 10))
  del lines[cut]
  path.write_text(''.join(lines))
  writers.JsonLines(path, 100, 10).close()
  assert caplog.messages == [
      f'{path} has {found} of the 10 rows that the run wrote up to step 100'
      f'{where}. It was changed or lost; the run continues with the rows that '
      'are there.']
  assert path.read_text() == ''.join(lines[:found])


def test_a_file_that_was_deleted_is_reported(tmp_path, caplog):
  writers.JsonLines(tmp_path / 'events.jsonl', 100, 2).close()
  assert 'has 0 of the 2 rows' in caplog.text


def test_rows_that_are_all_there_need_no_words(tmp_path, caplog):
  path = tmp_path / 'metrics.jsonl'
  written(path, [10, 20, 50, 50, 100, 110])  # With other intervals once.
  writers.JsonLines(path, 100, 5).close()
  writers.JsonLines(path, 50).close()  # The number of rows is not known.
  assert caplog.messages == []


def test_irregular_rows_are_only_counted():
  assert writers.gaps([3, 17, 18, 64], 100) == ''
  assert writers.gaps([20, 40, 60, 100, 140, 160, 200, 240, 260, 280, 300, 320],
                      360) == (
      ': none of steps 61 to 99, 101 to 139, 161 to 199, ...')


@pytest.mark.parametrize('text', ['{"step": 5}', '{"step": 5}\n', '', None])
def test_a_file_replaced_meanwhile_is_continued(tmp_path, caplog, text):
  path = tmp_path / 'metrics.jsonl'
  out = writers.JsonLines(path)
  out.write(10, {'loss': 1.0})
  path.unlink()
  if text is not None:
    path.write_text(text)
  out.write(20, {'loss': 1.0})
  out.write(30, {'loss': 1.0})
  out.close()
  assert [row['step'] for row in writers.read(path)] == (
      [5] * bool(text) + [20, 30])
  message, = caplog.messages
  assert 'was replaced or deleted while the run wrote to it' in message


def test_all_writers_of_a_run(tmp_path):
  with writers.opened(tmp_path / 'm', 10) as sinks:
    for sink in sinks:
      sink.write(10, {'loss': 1.0})
  assert writers.read(tmp_path / 'm') == [{'step': 10, 'loss': 1.0}]


def test_a_row_that_cannot_be_written_is_a_run_error(tmp_path):
  out = writers.JsonLines(tmp_path / 'rows')
  out.write(1, {'loss': 1.0})
  with faults.fill_disk(10), pytest.raises(
      errors.RunError, match='Step 2 .*rows .File too large.'):
    out.write(2, {'loss': 1.0})
  with faults.fill_disk(10):
    out.close()
  assert [row['step'] for row in writers.read(tmp_path / 'rows')] == [1]


def test_plain_lines_without_a_terminal():
  file = io.StringIO()
  out = writers.Terminal(100, file=file, every_s=1000)
  for step in range(10, 101, 10):
    out.write(step, {'loss': 1 / step, 'tokens_per_s': 12345.6, 'mfu': 0.5})
  out.close()
  assert file.getvalue().splitlines() == [
      'step 10/100  loss 0.1000  12,346 tokens/s  50% of peak',
      'step 100/100  loss 0.0100  12,346 tokens/s  50% of peak']


def test_the_last_step_has_one_line_with_its_evaluation():
  file = io.StringIO()
  out = writers.Terminal(20, file=file, every_s=0)
  out.write(20, {'loss': 1.5})
  out.write(20, {'valid/loss': 2.0})
  out.close()
  assert file.getvalue().splitlines() == [
      'step 20/20  loss 1.5000  valid loss 2.0000']


class Screen(io.StringIO):
  def isatty(self):
    return True


def shown(file):
  """Returns the last two lines on a screen, without colours."""
  text = re.sub('\x1b\\[[0-9;?]*[a-zA-Z]', '', file.getvalue())
  return [line.rstrip() for line in re.split('[\r\n]+', text) if line][-2:]


@pytest.mark.parametrize('columns', [80, 120])
def test_a_bar_on_a_terminal(monkeypatch, columns):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', str(columns))
  file = Screen()
  out = writers.Terminal(1_000_000, start=500_000, file=file)
  out.write(750_000, {'loss': 1.25, 'tokens_per_s': 12345678.0, 'mfu': 0.25})
  out.write(750_000, {'valid/loss': 2.5})
  out.close()
  bar, numbers = shown(file)
  assert bar.startswith('step 750,000/1,000,000 ━') and ' 75% 0:' in bar
  assert re.search('ETA [-0-9]:[-0-9]{2}:[-0-9]{2}$', bar)
  assert len(bar) <= columns
  assert numbers == (
      'loss 1.2500  valid loss 2.5000  12,345,678 tokens/s  25% of peak')


def test_an_evaluation_does_not_repeat_the_row_of_its_step():
  file = io.StringIO()
  out = writers.Terminal(100, file=file, every_s=0)
  out.write(50, {'loss': 1.5})
  out.write(50, {'valid/loss': 2.0})
  out.write(60, {'loss': 1.25})
  out.close()
  assert file.getvalue().splitlines() == [
      'step 50/100  loss 1.5000', 'step 50/100  valid loss 2.0000',
      'step 60/100  loss 1.2500  valid loss 2.0000']
