"""Exact likelihood of a text, in which every token is scored exactly once."""
import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import hashlib
import math
import time
from typing import Any

import jax
import numpy as np

from lmjax.core import errors
from lmjax.core import spread
from lmjax.data import facts
from lmjax.evaluation import by_document as by_document_lib
from lmjax.evaluation import report
from lmjax.evaluation import windows

Batch = Mapping[str, np.ndarray]
Score = Callable[[Batch], tuple[Any, Any]]
_FIELDS = ('inputs', 'targets', 'weights', 'positions', 'segments')


def evaluate(
    score: Score,
    documents: Iterable[Sequence[int]],
    *,
    vocab_size: int,
    context: int | None = None,
    stride: int | None = None,
    batch_size: int = 8,
    bos_id: int | None = None,
    name: str = 'model',
    texts: facts.Texts | None = None,
    counts: np.ndarray | None = None,
    rule: str = '',
    tokenizer_hash: str | None = None,
    parameters_hash: str | None = None,
    packed: bool = True,
    lay: windows.Lay | None = None,
) -> report.Report:
  """Scores every token of `documents` exactly once.

  Losses are float32 on the device and are summed in float64 on the host, while
  the device already works on the next batch.

  Args:
    score: Maps a batch (`inputs`, `targets`, `weights`, `positions`,
      `segments`, each [B, T]) to the loss of each target in nats and to whether
      it was the most probable token, two arrays [B, T]. May be a model, an
      n-gram, or any function. If it has an attribute `fields`, the batch has
      these fields instead.
    documents: Token ids, document by document, with BOS and EOS.
    vocab_size: Size of the vocabulary; an id outside it is an error.
    context: Most tokens that a prediction sees; not used with `lay`.
    stride: Tokens by which a long document's window moves, 1 to `context`; not
      used with `lay`.
    batch_size: Rows scored at a time; affects the speed, not the result.
    bos_id: The id that begins every document, and is not scored. None if
      documents begin with text: then a document's first token, which has no
      token before it, is charged log(vocab_size).
    name: Name of the model in the report.
    texts: Facts about the documents' original texts, for bits/byte, word
      perplexity and `by_document`.
    counts: Number of times each id occurs in the training data, [vocab_size].
    rule: Sentence that says how the tokenizer treats documents.
    tokenizer_hash: Hash of the tokenizer, for the report.
    parameters_hash: Hash of the parameters, for the report.
    packed: Whether short documents share a row, in separate segments.
    lay: Lays documents out as batches, such as `carried.Windows`; None uses
      `windows.Layout` with `context`, `stride`, `batch_size` and `packed`. The
      report has its `context`, `stride` and `note`.

  Raises:
    InputError: If an id is outside the vocabulary, a document does not begin
      with its only BOS, the context or stride is out of range, or there is
      nothing to score.
  """
  start = time.perf_counter()
  read = _Checked(documents, vocab_size, bos_id)
  sums = _Sums(counts)
  compiled, first = start, 0  # End and token count of the first batch.
  if lay is None:
    lay = windows.Layout(context, stride, batch_size, packed)
  for batch, nll_BT, correct_BT in scored(score, lay(read)):
    sums.add(batch, nll_BT, correct_BT)
    if not first:
      compiled, first = time.perf_counter(), sums.tokens
  rate = (sums.tokens - first) / (time.perf_counter() - compiled)

  lengths = np.asarray(read.lengths, np.int64)
  expected = int(np.maximum(lengths - 1, 0).sum())
  if sums.tokens != expected:  # A bug: each token should be scored once.
    raise RuntimeError(f'{sums.tokens} tokens scored, not {expected}.')
  uncontexted = 0
  if bos_id is None:
    sums.add_first(lengths, vocab_size)
    uncontexted = int((lengths > 0).sum())
  if not sums.tokens:
    raise errors.InputError(
        f'Nothing to score: {len(lengths)} documents hold no token beyond BOS.')
  return report.Report(
      name=name, nats_per_token=sums.nats / sums.tokens,
      stderr=sums.stderr(), accuracy=sums.correct / sums.tokens,
      tokens=sums.tokens, documents=len(lengths),
      bytes=texts and int(texts.bytes.sum()),
      characters=texts and int(texts.characters.sum()),
      words=int(texts.words.sum()) if texts and texts.separate_words else None,
      uncontexted=uncontexted, nonfinite=sums.nonfinite,
      by_position=sums.position.buckets(),
      by_frequency=sums.frequency.buckets(),
      vocab_size=vocab_size, context=lay.context, stride=lay.stride, rule=rule,
      data_hash=read.sha.hexdigest(), tokenizer_hash=tokenizer_hash,
      parameters_hash=parameters_hash, seconds=time.perf_counter() - start,
      tokens_per_second=rate or None,
      notes=tuple(_notes(uncontexted, sums.nonfinite, texts, lay.note)),
      by_document=texts and by_document_lib.Scores(
          *sums.by_document(len(lengths)), texts))


def of_params(scores: Callable[[Any, Batch], tuple[Any, Any]], params: Any,
              devices: Sequence[jax.Device] | None = None) -> Score:
  """Returns the compiled score of a model's parameters.

  Args:
    scores: `(params, batch) -> (nll_BT, correct_BT)`, from an objective's
      `scores(model)`. It is compiled once for all parameters.
    params: The parameters.
    devices: Devices that share each batch; their number divides `batch_size`.
      By default the device that holds `params`. If some devices belong to other
      processes, all processes call the score together, with the same batches.
  """
  if devices is None:
    score, params = jax.jit(scores), jax.device_put(params)
    return lambda batch: score(params, batch)
  mesh = jax.sharding.Mesh(np.array(devices), ('batch',))
  place = lambda *axes: jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec(*axes))
  params = jax.tree.map(lambda x: spread.put(x, place()), params)
  # With devices of several processes, each process can only read an output
  # that is replicated on all devices.
  score = jax.jit(scores, out_shardings=(
      None if place().is_fully_addressable else place()))

  def shared(batch):
    size = len(batch['inputs'])
    if size % len(devices):
      raise errors.InputError(
          f'batch_size should be a multiple of the {len(devices)} devices; got '
          f'{size}.')
    return score(params, {
        name: spread.put(x, place('batch')) for name, x in batch.items()})
  return shared


@dataclasses.dataclass(frozen=True)
class WithFields:
  """A score whose batches have other fields than plain windows.

  Attributes:
    score: The score.
    fields: The fields that it takes from a batch; see `evaluate`.
  """
  score: Score
  fields: tuple[str, ...]

  @classmethod
  def of(cls, score: Score, more: Sequence[str]) -> 'WithFields':
    """Returns a score that takes more fields than those of plain windows."""
    return cls(score, (*_FIELDS, *more))

  def __call__(self, batch: Batch) -> tuple[Any, Any]:
    return self.score(batch)


def scored(score: Score, batches: Iterable[Batch],
           ahead: int = 1) -> Iterator[tuple[Batch, np.ndarray, np.ndarray]]:
  """Yields (batch, nll_BT, correct_BT), with the device `ahead` batches ahead.

  A batch is passed to `score` before the result of the one before is awaited.
  """
  pending = collections.deque()
  fields = getattr(score, 'fields', _FIELDS)
  for batch in batches:
    pending.append((batch, score({name: batch[name] for name in fields})))
    if len(pending) > ahead:
      yield _fetched(*pending.popleft())
  while pending:
    yield _fetched(*pending.popleft())


def _fetched(batch, result):
  nll_BT, correct_BT = result
  return batch, np.asarray(nll_BT), np.asarray(correct_BT)


class _Checked:
  """Iterates over documents, checking that ids are in range and BOS is first.

  Attributes:
    lengths: Tokens in each document that was read.
    sha: Hash of the documents that were read.
  """

  def __init__(self, documents, vocab_size, bos_id):
    self._documents = documents
    self._vocab_size, self._bos_id = vocab_size, bos_id
    self.lengths, self.sha = [], hashlib.sha256()

  def __iter__(self):
    for number, tokens in enumerate(self._documents):
      tokens = np.asarray(tokens)
      if len(tokens):
        self._check(number, tokens)
      self.lengths.append(len(tokens))
      self.sha.update(len(tokens).to_bytes(8, 'little'))
      self.sha.update(np.ascontiguousarray(tokens, '<i4').tobytes())
      yield tokens

  def _check(self, number, tokens):
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= self._vocab_size:
      raise errors.InputError(
          f'Document {number} has token id {low if low < 0 else high}, but the '
          f'vocabulary has {self._vocab_size} ids; evaluate with the tokenizer '
          'the model was trained with.')
    if self._bos_id is not None and (
        tokens[0] != self._bos_id
        or np.count_nonzero(tokens == self._bos_id) != 1):
      raise errors.InputError(
          f'Document {number} should begin with BOS (id {self._bos_id}) and '
          f'have it once; it begins with {tokens[:4].tolist()} and has it '
          f'{np.count_nonzero(tokens == self._bos_id)} times.')


class _Histogram:
  """Mean losses in buckets of a quantity, whose bounds are powers of a number.

  Bucket 0 holds the quantity 0, bucket i > 0 quantities from power**(i - 1) to
  below power**i.
  """

  def __init__(self, power):
    edges = [power**i for i in range(64) if power**i < 2**62]
    self._edges = np.array(edges, np.int64)
    self._nats, self._tokens = np.zeros((2, len(edges) + 1))

  def add(self, quantity, nll):
    at = np.searchsorted(self._edges, quantity, side='right')
    size = len(self._tokens)
    self._nats += np.bincount(at, nll, size)
    self._tokens += np.bincount(at, minlength=size)

  def buckets(self) -> tuple[report.Bucket, ...]:
    lows = [0] + self._edges.tolist()
    highs = [edge - 1 for edge in self._edges.tolist()] + [None]
    return tuple(
        report.Bucket(low, high, int(n), float(nats / n))
        for low, high, n, nats in zip(lows, highs, self._tokens, self._nats)
        if n)


class _Sums:
  """Running float64 sums over scored tokens, in total and by document."""

  def __init__(self, counts):
    self._counts = counts
    self.nats = self.correct = 0.0
    self.tokens = self.nonfinite = 0
    self.position, self.frequency = _Histogram(2), _Histogram(10)
    self._nats_of, self._tokens_of = np.zeros((2, 0))  # By document.

  def add(self, batch, nll_BT, correct_BT):
    """Adds the targets with a weight above 0; others may hold any value."""
    counted_BT = batch['weights'] > 0
    nll = nll_BT[counted_BT].astype(np.float64)
    self._count(nll, correct_BT[counted_BT], batch['documents'][counted_BT],
                batch['seen'][counted_BT])
    if self._counts is not None:
      self.frequency.add(self._counts[batch['targets'][counted_BT]], nll)

  def add_first(self, lengths, vocab_size):
    """Charges the first token of each document log(vocab_size) nats."""
    documents = np.flatnonzero(lengths > 0)
    self._count(np.full(len(documents), math.log(vocab_size)),
                np.full(len(documents), 1 / vocab_size), documents,
                np.zeros(len(documents), np.int64))

  def _count(self, nll, correct, documents, seen):
    self.nats += float(nll.sum())
    self.correct += float(correct.sum(dtype=np.float64))
    self.tokens += len(nll)
    self.nonfinite += int(np.count_nonzero(~np.isfinite(nll)))
    self.position.add(seen, nll)
    size = max(len(self._nats_of), int(documents.max(initial=-1)) + 1)
    if size > len(self._nats_of):
      more = 2 * size - len(self._nats_of)
      self._nats_of = np.pad(self._nats_of, (0, more))
      self._tokens_of = np.pad(self._tokens_of, (0, more))
    if len(nll):
      first = int(documents.min())
      local = documents - first
      last = first + int(local.max()) + 1
      self._nats_of[first:last] += np.bincount(local, nll)
      self._tokens_of[first:last] += np.bincount(local)

  def by_document(self, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nats and the number of tokens of `count` documents."""
    nats, tokens = (np.pad(sums, (0, max(0, count - len(sums))))[:count]
                    for sums in (self._nats_of, self._tokens_of))
    return nats, tokens.astype(np.int64)

  def stderr(self) -> float | None:
    """Returns the standard error of nats per token, clustered by document.

    Linearises the ratio of sums, with the correction n / (n - 1).

    References:
      Miller, Adding Error Bars to Evals, arXiv:2411.00640, section 2.2.
    """
    some = self._tokens_of > 0
    nats, tokens = self._nats_of[some], self._tokens_of[some]
    n, mean = len(nats), self.nats / self.tokens
    if n < 2 or self.nonfinite:
      return None
    residuals = nats - mean * tokens
    return math.sqrt(n / (n - 1) * float(residuals @ residuals)) / self.tokens


def _notes(uncontexted, nonfinite, texts, layout) -> Iterator[str]:
  if layout:
    yield layout
  if uncontexted:
    yield ('There is no BOS: the first token of each document '
           f'({uncontexted:,} in total) is charged log(vocab_size).')
  if nonfinite:
    yield (f'The loss of {nonfinite:,} tokens is NaN or infinite, and so are '
           'the means, which are null in JSON.')
  if texts is None:
    yield 'The size of the original text was not given: no bits/byte.'
