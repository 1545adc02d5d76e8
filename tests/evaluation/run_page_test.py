"""The page of a run: complete, well formed, and inert."""
import base64
import dataclasses
import hashlib
import html.parser
import math
import re

import pytest

from lmjax.evaluation import report
from lmjax.evaluation import run_page

_EVIL = '<img src=x onerror=alert(1)>\x1b]0;pwn\x07"\'&\u202e'
_REPORT = report.Report(
    name='model', nats_per_token=2.0, stderr=0.1, accuracy=0.25, tokens=12345,
    documents=3, bytes=8000, characters=8000, words=2000, uncontexted=0, nonfinite=0,
    by_position=(report.Bucket(1, 1, 40, 3.0), report.Bucket(2, 3, 60, 1.5)),
    by_frequency=(), vocab_size=50, context=16, stride=8, rule='BOS, EOS.',
    data_hash='d', tokenizer_hash='t', parameters_hash=None, seconds=0.5,
    tokens_per_second=200.0)


class _Parser(html.parser.HTMLParser):
  """Collects tags and attributes, and checks that elements close in order."""
  _EMPTY = {'meta', 'img', 'br', 'line', 'polyline', 'circle'}

  def __init__(self, page):
    super().__init__()
    self.tags, self.attributes, self.open, self.texts = [], [], [], []
    self.feed(page)
    self.close()

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += attrs
    if tag not in self._EMPTY:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += attrs

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.texts.append(data)


def _page(tmp_path, **kwargs):
  path = tmp_path / 'report.html'
  run_page.write(path, **({'title': 'A run', 'config': {}} | kwargs))
  assert [p.name for p in tmp_path.glob('report*')] == ['report.html']
  return path.read_text()


def test_everything_shown_is_in_the_page(tmp_path):
  (tmp_path / 'curve.png').write_bytes(b'\x89PNG picture')
  page = _page(
      tmp_path, reports=[_REPORT, dataclasses.replace(_REPORT, name='uniform')],
      config={'kind': 'Pretrain', 'model': {'width': 128}},
      facts={'versions': {'jax': '0.1'}, 'command': ['a', 'b'],
             'seconds': 104.8506478},
      curve_png=tmp_path / 'curve.png', samples=[('To be', ' or\nnot')])
  for words in ('A run', 'uniform', '2.0000', '7.39', '12,345', 'width', '128',
                '>To be</b> or\nnot', 'versions.jax', 'a b', '104.851',
                'Pretrain', '<polyline',
                'data:image/png;base64,'
                + base64.b64encode(b'\x89PNG picture').decode()):
    assert words in page, words
  parsed = _Parser(page)
  assert not parsed.open and parsed.tags.count('polyline') == 2


def test_texts_are_escaped(tmp_path):
  evil = dataclasses.replace(_REPORT, name=_EVIL, rule=_EVIL, notes=(_EVIL,))
  page = _page(tmp_path, title=_EVIL, config={'model': {_EVIL: _EVIL}},
               reports=[evil], samples=[(_EVIL, _EVIL)], facts={_EVIL: _EVIL})
  parsed = _Parser(page)
  assert not {'script', 'img', 'iframe', 'a'} & set(parsed.tags)
  assert not [name for name, _ in parsed.attributes if name.startswith('on')]
  assert ''.join(parsed.texts).count('<img src=x onerror=alert(1)>') >= 8
  assert not re.search('[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]', page)
  assert run_page.text('a\x1b[31m\tb\n\ud800\u200f') == 'a[31m\tb\n'


def test_the_policy_admits_the_style_and_nothing_else(tmp_path):
  page = _page(tmp_path, reports=[_REPORT])
  style = re.search('<style>(.*?)</style>', page, re.S).group(1)
  digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
  policy, = re.findall('Content-Security-Policy" content="([^"]*)"', page)
  assert f"style-src 'sha256-{digest}'" in policy
  assert policy.startswith("default-src 'none'; img-src data:;")
  assert 'style=' not in page and 'http:' not in page and 'https:' not in page


def test_a_narrow_screen_scrolls_tables_and_stacks_facts(tmp_path):
  page = _page(tmp_path, reports=[_REPORT], facts={'step': 1})
  assert page.count('<div class="wide"><table>') == page.count('<table>') == 1
  style = re.search('<style>(.*?)</style>', page, re.S).group(1)
  assert '.wide { overflow-x: auto; }' in style
  narrow = style.partition('@media (max-width: 560px)')[2]
  assert 'dl { display: block; }' in narrow
  assert 'minmax(130px, max-content)' not in style  # Left one digit a line.


def test_model_data_and_device_stand_above_the_curve(tmp_path):
  (tmp_path / 'curve.png').write_bytes(b'png')
  page = _page(tmp_path, about={'model': '4 layers', 'api_key': 'abcdefghijkl'},
               curve_png=tmp_path / 'curve.png', curve_terms=['Two numbers.'])
  assert '<dt>model</dt><dd>4 layers</dd>' in page
  assert 'abcdefghijkl' not in page
  assert page.index('4 layers') < page.index('<img') < page.index(
      'Two numbers.')


def test_without_likelihoods_the_first_table_gives_the_headline(tmp_path):
  page = _page(tmp_path, tables={
      'Test split': run_page.Table(
          ('', 'accuracy', '±'), [('model', '0.91', '0.02')]),
      'Others': run_page.Table(('', 'f1'), [('model', '0.5')])})
  tiles = page.partition('<div class="tiles">')[2].partition('<h2>')[0]
  assert '<b>0.91</b><span>model, accuracy</span>' in tiles
  assert '0.02' not in tiles and 'f1' not in tiles


def test_the_headline_is_the_main_row(tmp_path):
  rows = [('loss', '0.4', '0.1', '0.7'), ('accuracy', '0.8', '-', '0.5')]
  page = _page(tmp_path, tables={
      'Test split': run_page.Table(('', 'model', '±', 'majority'), rows, (), 1),
      'Others': run_page.Table(('', 'f1'), [('a', '0.5')], main=None)})
  tiles = page.partition('<div class="tiles">')[2].partition('<h2>')[0]
  assert '<b>0.8</b><span>accuracy, model</span>' in tiles
  assert '<b>0.5</b><span>accuracy, majority</span>' in tiles
  assert 'loss' not in tiles
  assert page.count('<tr class="best">') == 1
  assert '<tr class="best"><td>accuracy' in page


def test_numbers_that_are_not_finite_do_not_break_the_page(tmp_path):
  broken = dataclasses.replace(
      _REPORT, nats_per_token=math.nan, accuracy=math.nan, bytes=None,
      by_position=tuple(dataclasses.replace(b, nats_per_token=math.nan)
                        for b in _REPORT.by_position))
  page = _page(tmp_path, reports=[broken])
  assert not _Parser(page).open and 'nan' in page


def test_further_tables_and_pictures_stand_under_their_headings(tmp_path):
  picture = tmp_path / 'p.png'
  picture.write_bytes(b'png')
  run_page.write(
      tmp_path / 'page.html', title='t', config={},
      tables={f'Test {_EVIL}': run_page.Table(
          ('', 'accuracy'), [('model', _EVIL)], ('100 examples.',))},
      pictures={'Confusion': picture})
  parsed = _Parser((tmp_path / 'page.html').read_text())
  assert parsed.tags.count('table') == parsed.tags.count('img') == 1
  said = ' '.join(parsed.texts)
  assert '100 examples.' in said and 'Confusion' in said
  assert '<img src=x' in said  # As text, with no control character in it.
  assert '\x1b' not in said


@pytest.mark.parametrize('size, long', [(40, 0), (41, 2)])
def test_a_column_with_a_long_cell_is_wrapped(size, long, tmp_path):
  page = _page(tmp_path, tables={'Errors': run_page.Table(
      ('label', 'text'), [('a', 'x' * size), ('b', 'short')], main=None)})
  assert page.count('<td class="long">') == long
  assert page.count('<th class="long">text</th>') == bool(long)
  assert 'class="best"' not in page
