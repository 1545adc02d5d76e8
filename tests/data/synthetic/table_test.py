"""Languages are sources like any other."""
from lmjax.core.flags import overrides
from lmjax.data import pipeline
from lmjax.data import synthetic
from lmjax.data.synthetic import chains
from lmjax.data.synthetic import puzzles
from lmjax.data.tokenizers import symbols


def test_flags_choose_a_language():
  frozen = overrides.override(pipeline.DataConfig(), {
      'source.kind': 'MarkovChain', 'source.order': '1',
      'tokenizer.kind': 'Characters'})
  assert frozen.source == chains.MarkovChain(order=1)
  assert frozen.tokenizer == symbols.Characters()


def test_every_language_writes_one_id_a_symbol_and_no_space():
  for variant in synthetic.LANGUAGES.values():
    source = variant(num_documents=30)
    texts = list(source.documents())
    assert len(texts) == 30
    assert set(''.join(texts)) <= set(source.alphabet)
    assert source.alphabet.isascii() and ' ' not in source.alphabet
    assert len(set(source.alphabet)) == len(source.alphabet)
    assert source.entropy().per_token > 0


def test_a_split_of_a_language_trains(tmp_path):
  data = pipeline.DataConfig(
      source=puzzles.Copy(num_documents=300), tokenizer=symbols.Characters(),
      batch_size=4, length=24).build(tmp_path)
  batch = data.batches()(0)
  score = data.config.source.optimal_score(data.tokenizer)
  assert batch['inputs'].shape == (4, 24)
  assert data.valid.num_documents > 0
  for tokens in map(data.valid.document, range(3)):
    nll_BT, _ = score({'inputs': tokens[None, :-1], 'targets': tokens[None, 1:],
                       'segments': tokens[None, 1:] * 0 + 1})
    assert (nll_BT < 5).all()
