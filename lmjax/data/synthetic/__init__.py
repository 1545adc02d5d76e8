"""The table of synthetic languages, sources whose optimum is known exactly.

    --config.data.source.kind=MarkovChain --config.data.source.order=2
    --config.data.tokenizer.kind=Characters

`language.optimal_score(tokenizer)` is the Bayes-optimal predictor, which
`evaluation.likelihood.evaluate` takes like a model; `language.entropy()` is its
expected loss, computed from the law.

Example:
  >>> from lmjax.data.tokenizers import symbols
  >>> source = puzzles.Parity(max_length=4, num_documents=3)
  >>> texts = list(source.documents())
  >>> tokenizer = symbols.Bytes().build()
  >>> score = source.optimal_score(tokenizer)
  >>> ids = tokenizer.encode_document('10=1')[None].astype('int32')
  >>> nll_BT, _ = score({'inputs': ids[:, :-1], 'targets': ids[:, 1:],
  ...                    'segments': ids[:, 1:] * 0 + 1})
  >>> nll_BT.astype(float).round(2).tolist()
  [[0.69, 0.98, 1.1, 0.0, 0.0]]
"""
from lmjax.data.synthetic import chains
from lmjax.data.synthetic import grammars
from lmjax.data.synthetic import puzzles

LANGUAGES = {
    'AssociativeRecall': puzzles.AssociativeRecall,
    'Copy': puzzles.Copy,
    'Dyck': grammars.Dyck,
    'Grammar': grammars.Grammar,
    'HiddenMarkov': chains.HiddenMarkov,
    'MarkovChain': chains.MarkovChain,
    'ModularAddition': puzzles.ModularAddition,
    'Parity': puzzles.Parity,
}
