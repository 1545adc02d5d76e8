"""Files belong together line by line."""
import collections
import gzip

import pytest

from lmjax.core import errors
from lmjax.tasks.written import line_pairs


def written(tmp_path, **files):
  for name, text in files.items():
    (tmp_path / name).write_text(text)
  return {name: str(tmp_path / name) for name in files}


def test_lines_of_the_same_number_are_a_pair_with_its_references(tmp_path):
  at = written(tmp_path, a='one\n\ntwo\n', b='eins\n\nzwei\n',
               c='ein\n\n\n', d='I\n\nII\n')
  with gzip.open(tmp_path / 'a.gz', 'wt') as file:
    file.write('one\n\ntwo\n')
  counts = collections.Counter()
  found = list(line_pairs.LinePairs(
      (str(tmp_path / 'a.gz'),), (at['b'],), (at['c'], at['d'])
  ).examples(counts))
  assert [(pair.source, pair.targets) for pair in found] == [
      ('one', ('eins', 'ein', 'I')), ('two', ('zwei', 'II'))]
  assert found[1].where.endswith('a.gz:3')
  assert counts == {'blank lines dropped': 1}


def test_references_of_several_files_follow_their_order(tmp_path):
  at = written(tmp_path, a='1\n', b='2\n', ta='eins\n', tb='zwei\n',
               ra='x\n', rb='y\n', sa='u\n', sb='v\n')
  found = line_pairs.LinePairs(
      (at['a'], at['b']), (at['ta'], at['tb']),
      (at['ra'], at['rb'], at['sa'], at['sb'])).examples()
  assert [pair.targets for pair in found] == [
      ('eins', 'x', 'u'), ('zwei', 'y', 'v')]


def test_files_of_different_lengths_are_refused(tmp_path):
  at = written(tmp_path, a='one\ntwo\n', b='eins\n')
  with pytest.raises(errors.InputError, match='a:2 has no counterpart.*line 1'):
    list(line_pairs.LinePairs((at['a'],), (at['b'],)).examples())
  with pytest.raises(errors.InputError, match='give a target'):
    list(line_pairs.LinePairs((at['a'],), (at['a'], at['b'])).examples())
