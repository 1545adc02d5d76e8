"""Facts about texts, in any pieces."""
import hashlib
import re

import pytest

from lmjax.data import facts

TEXTS = ('', 'a', ' a b\n', 'dé\nf  g', '漢字 かな x', 'one\u3000two\u00a0three')


@pytest.mark.parametrize('text', TEXTS)
@pytest.mark.parametrize('part', [1, 2, 3, 100])
def test_facts_do_not_depend_on_pieces(monkeypatch, text, part):
  monkeypatch.setattr(facts, '_PART', part)
  raw = text.encode()
  assert facts.of(text) == (
      len(raw), len(text), len(text.split()), text.startswith('漢') * 4,
      int.from_bytes(hashlib.sha256(raw).digest()[:8], signed=True))


@pytest.mark.parametrize('text', ['', 'a', ' ', 'ab cd  e\n', 'abcdefgh i', '  '])
@pytest.mark.parametrize('size', [1, 2, 3, 5, 100])
def test_a_text_is_cut_only_where_allowed(text, size):
  found = list(facts.cut(text, str.isspace, size))
  assert ''.join(found) == text
  assert all(piece and piece[-1].isspace() for piece in found[:-1])
  longest = max(len(run) for run in re.findall(r'\S*\s?', text))
  assert all(len(piece) <= max(size, longest) for piece in found)


def test_facts_of_texts_are_columns():
  texts = facts.Texts.of(TEXTS)
  assert texts.characters.tolist() == list(map(len, TEXTS))
  assert texts.first(2).words.tolist() == [0, 1]
  assert len(facts.Texts.of([]).bytes) == 0


@pytest.mark.parametrize('texts, separate', [
    (['two words'], True), (['漢字', 'x' * 37], False), (['漢字', 'x' * 38], True),
    (['한국 말'], True)])
def test_words_are_separate_if_almost_all_letters_are(texts, separate):
  assert facts.Texts.of(texts).separate_words == separate
