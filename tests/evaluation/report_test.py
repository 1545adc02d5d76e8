"""Reports: units by hand, JSON there and back, NaN told."""
import io
import json
import math

import pytest
import rich.console

from lmjax.evaluation import report


def make(**fields):
  return report.Report(**(dict(
      name='model', nats_per_token=2.0, stderr=0.1, accuracy=0.25, tokens=100,
      documents=3, bytes=80, characters=50, words=20, uncontexted=0, nonfinite=0,
      by_position=(report.Bucket(1, 1, 40, 3.0), report.Bucket(2, 3, 60, 1.5)),
      by_frequency=(), vocab_size=50, context=16, stride=8, rule='BOS, EOS.',
      data_hash='d', tokenizer_hash='t', parameters_hash=None, seconds=0.5,
      tokens_per_second=200.0) | fields))


def test_units_equal_hand_computed_ones():
  found = make()
  assert found.nats == 200
  assert found.perplexity == pytest.approx(math.e**2)
  assert found.bits_per_byte == pytest.approx(200 / math.log(2) / 80)
  assert found.nats_per_character == 4
  assert found.bits_per_character == pytest.approx(4 / math.log(2))
  assert found.word_perplexity == pytest.approx(math.e**10)
  assert make(nats_per_token=1e4).perplexity == math.inf


def test_reports_survive_json(tmp_path):
  reports = [make(), make(name='uniform', bytes=None, characters=None, words=None,
                          stderr=None)]
  report.save(tmp_path / 'report.json', reports, command='x')
  assert report.load(tmp_path / 'report.json') == reports
  tree = json.loads((tmp_path / 'report.json').read_text())
  assert tree['schema'] == report.SCHEMA and tree['command'] == 'x'
  assert tree['reports'][0]['bits_per_byte'] == make().bits_per_byte
  assert tree['reports'][1]['bits_per_byte'] is None
  assert [path.name for path in tmp_path.iterdir()] == ['report.json']


def test_nan_becomes_null_in_json(tmp_path):
  broken = make(nats_per_token=math.nan, nonfinite=2, notes=('2 are NaN.',))
  report.save(tmp_path / 'report.json', [broken])
  text = (tmp_path / 'report.json').read_text()
  assert 'NaN' not in text.replace('2 are NaN.', '')
  found, = report.load(tmp_path / 'report.json')
  assert math.isnan(found.nats_per_token) and found.notes == ('2 are NaN.',)


def test_the_table_shows_every_report_and_its_terms():
  out = io.StringIO()
  report.show([make(notes=('[bold]As told.',)), make(name='uniform')], out)
  text = out.getvalue()
  for words in ('model', 'uniform', '2.0000', '7.39', '3.6067', '5.7708',
                '22,026.5', 'each scored once', 'context 16, stride 8',
                '80 UTF-8 bytes, 50 characters and 20 words', '[bold]As told.'):
    assert words in text, words
  assert max(map(len, text.splitlines())) <= 100
  assert '…' not in text


def test_the_table_of_a_common_report_fits_80_columns():
  out = io.StringIO()
  rich.console.Console(file=out, width=80).print(report.table([
      make(name=name, nats_per_token=nats, vocab_size=1024, tokens=17448,
           bytes=48770, characters=48770, words=6957, tokens_per_second=7.19e6)
      for name, nats in (('uniform', 6.9315), ('unigram', 5.7889))]))
  lines = out.getvalue().splitlines()
  assert any(line.split()[:2] == ['unigram', '5.7889'] for line in lines)
  assert '…' not in out.getvalue()


def test_a_text_without_separate_words_has_no_word_perplexity():
  found = make(words=None)
  assert found.word_perplexity is None
  told = ' '.join(report.terms(found))
  assert '80 UTF-8 bytes and 50 characters of' in told
  assert 'paid for in bits. Spaces do not separate its words' in told


def test_the_table_cannot_steer_a_terminal():
  out, evil = io.StringIO(), '\x1b]0;pwn\x07\x9b31m\u202e'
  report.display(report.grid(['', 'a'], [[f'x{evil}', evil]], f'y{evil}'), out)
  assert 'x]0;pwn31m' in out.getvalue() and 'y]0;pwn31m' in out.getvalue()
  assert not set('\x1b\x07\x9b\u202e') & set(out.getvalue())


def test_numbers_are_formatted_for_tables():
  assert report.number(None, 2) == '-'
  assert report.number(math.nan, 2) == 'nan'
  assert report.number(1234.567, 1) == '1,234.6'
  assert report.number(1.234e9, 1) == '1.23e+09'
