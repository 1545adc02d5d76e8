"""Runs of n-gram models to ARPA files, and ARPA files to runs."""
import os

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import words as words_lib
from lmjax import experiment
from lmjax.models.counted import arpa
from lmjax.models.counted import imported
from lmjax.models.counted import ngram
from lmjax.recipes.loaded import trained
from lmjax.run import launch as launching


def write(workdir: str | os.PathLike[str], path: str, ids: bool = False
          ) -> tuple[str, ...]:
  """Writes the n-gram model of a run as an ARPA file.

  Args:
    workdir: The directory of a run of an n-gram model.
    path: The file, compressed if its name ends in `.gz`.
    ids: Whether to write the ids of tokens instead of words, as is always done
      for a tokenizer other than `Words`.

  Returns:
    Sentences on the file that a user should know.

  Raises:
    InputError: If the run has another model, or its words or smoothing cannot
      be written.
  """
  run = trained.load_any(workdir)
  model = run.model
  if not isinstance(model, ngram.Ngram):
    raise errors.InputError(
        f'{workdir} is the run of a {type(run.config.model).__name__}; only '
        'n-gram models can be written as an ARPA file.')
  tokenizer, notes = run.tokenizer, []
  words = arpa.default_words(
      model.vocab_size, tokenizer.bos_id, tokenizer.eos_id)
  if ids or not isinstance(tokenizer, words_lib.WordTokenizer):
    notes.append('Words are ids, as the tokenizer gives them.')
  else:
    words[:len(tokenizer.words)] = tokenizer.words
  if model.bos_id is None:
    notes.append(
        'Documents have no BOS, so the file has no <s>, and the n-grams at the '
        'beginnings of documents are left out; count the text again with '
        '--config.data.tokenizer.bos to keep them.')
  arpa.save(model, path, words)
  return tuple(notes)


def read(path: str, workdir: str | os.PathLike[str]) -> ngram.Ngram:
  """Makes a run directory of an ARPA file, for experiments/evaluate.py.

  Args:
    path: The file, plain or `.gz`.
    workdir: The directory of the new run.

  Returns:
    The model.

  Raises:
    InputError: If the file is damaged or has no word for unknown words, or the
      directory holds another run.
  """
  found = arpa.vocabulary(path)
  unk = next((word for word in found if word.lower() == arpa.UNKNOWN), None)
  if unk is None:
    raise errors.InputError(
        f'{path} has no {arpa.UNKNOWN} among its {len(found):,} words, so that '
        'other words have no probability; build the model with an open '
        'vocabulary (ngram-count -unk of SRILM; KenLM always does).')
  ends = [word for word in (arpa.BOS, arpa.EOS) if word in found]
  words = [word for word in found if word not in ends]
  model = arpa.load(path, words + ends)
  tokenizer = words_lib.WordTokenizer(
      words, unk, arpa.BOS in ends, arpa.EOS in ends)
  # The text that the model was counted on is not known.
  data = pipeline.DataConfig(
      source=sources.InMemory(()), split=None, tokenizer=words_lib.Words(
          unk=unk, bos=arpa.BOS in ends, eos=arpa.EOS in ends))
  run_config = experiment.Count(data, imported.Imported(model.order))
  with launching.Launch().started(os.fspath(workdir), run_config) as started:
    run = started.open_run({'model: ARPA file': model.digest}, tokenizer)
    model.save(run.counts)
  return model
