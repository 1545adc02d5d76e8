"""Retrieval: the vector of a query finds the text that belongs to it."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np

from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import retrieval as results
from lmjax.evaluation import embeddings
from lmjax.evaluation import estimates
from lmjax.models.heads import vectors
from lmjax.objectives import similarity as objectives
from lmjax.tasks.baselines import classes as baselines_lib
from lmjax.tasks.baselines import retrieval as retrieval_baselines
from lmjax.tasks.readers.texts import matched
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import separate
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of retrieval: recall, MRR and nDCG, with baselines.

  Attributes:
    baselines: Names in `retrieval_baselines.BASELINES`.
  """
  baselines: tuple[str, ...] = ('bm25',)

  def __post_init__(self):
    baselines_lib.check(self.baselines, retrieval_baselines.BASELINES)


@dataclasses.dataclass(frozen=True)
class Retrieval:
  """Pairs of a query and its text, each read alone; a `task.Task`.

  Training compares each query with the texts of its batch, so larger batches
  are harder and better. Each query of a split is then compared with all
  distinct texts of the split.

  Attributes:
    source: The source of the pairs.
    features: How each text becomes a row.
    head: How a text becomes a vector.
    objective: The objective to minimise.
    metrics: The evaluation of the ranks.
  """
  source: matched.Matched
  features: rows_lib.Features = rows_lib.Features()
  head: vectors.VectorsConfig = vectors.VectorsConfig()
  objective: objectives.InBatch = objectives.InBatch()
  metrics: Metrics = Metrics()

  unit: ClassVar = 'pairs'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    return self.source.read()

  def texts(self, examples: Sequence[task_lib.Example]) -> Iterable[str]:
    """See `task.Task`."""
    return (self.features.prefix + text for e in examples for text in e.texts)

  def rows(self, examples: Sequence[task_lib.Example],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> separate.SeparateRows:
    """Returns the rows of queries, texts and hard negatives.

    Raises:
      InputError: If a text has no tokens.
    """
    del splits
    texts = separate.pairs(examples)
    if examples and all(e.label is not None for e in examples):
      texts[objectives.NEGATIVE] = [(e.label, e.where) for e in examples]
    places, _ = _distinct(examples)
    return separate.build(
        self.features, texts, tokenizer, {'same': places})

  def model(self, backbone: Any, splits: task_lib.Splits) -> vectors.Vectors:
    """See `task.Task`."""
    del splits
    return self.head.build(backbone)

  def loss(self, model: vectors.Vectors) -> objectives.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: vectors.Vectors) -> Callable[[Any, Any], Any]:
    """Returns a function that returns the vectors of both texts, 2 of [B, D].
    """
    return lambda params, batch: tuple(
        objectives.vectors(model, params, batch)[:2])

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[tuple[np.ndarray, np.ndarray]],
            examples: Sequence[task_lib.Example], rows: Any,
            splits: task_lib.Splits) -> 'Result':
    """Returns the ranks of texts by cosine, for each number of dimensions."""
    del rows, splits
    first_ND, second_ND = (np.stack(each) for each in zip(*outputs))
    places, texts = _distinct(examples)
    _, firsts = np.unique(places, return_index=True)
    names = [e.text for e in examples], texts
    found = {}
    for dim in sorted({first_ND.shape[1], *self.objective.dims}, reverse=True):
      text_MD = second_ND[firsts, :dim]
      scores = lambda some, text_MD=text_MD, dim=dim: embeddings.similarity(
          first_ND[some, :dim], text_MD) / self.objective.temperature
      found[dim] = results.Retrieval.of(scores, places, names)
    return Result(found)

  def answers(self, outputs: Sequence[tuple[np.ndarray, np.ndarray]],
              examples: Sequence[task_lib.Example], rows: Any,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields the pairs with their cosine."""
    del rows, splits
    for example, (first_D, second_D) in zip(examples, outputs):
      cosine = embeddings.similarity(first_D[None], second_D[None])[0, 0]
      yield task_lib.shown(example) | {'predicted': round(float(cosine), 6)}

  def baselines(self, splits: task_lib.Splits, rows: Any
                ) -> dict[str, results.Retrieval]:
    """Returns results of the baselines, which need no training."""
    del rows
    places, texts = _distinct(splits.test)
    queries, out = [e.text for e in splits.test], {}
    for name in self.metrics.baselines:
      fitted = retrieval_baselines.BASELINES[name].fit(texts)
      out[fitted.name] = results.Retrieval.of(
          lambda some, fitted=fitted: fitted(queries[some]), places,
          (queries, texts), logits=False)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]


@dataclasses.dataclass(frozen=True)
class Result:
  """The results of vectors cut to several lengths; a `task.Result`.

  Attributes:
    dims: The result for each number of leading dimensions, all of them first.
  """
  dims: dict[int, results.Retrieval]

  @property
  def whole(self) -> results.Retrieval:
    """The result of the whole vectors."""
    return next(iter(self.dims.values()))

  @property
  def examples(self) -> int:
    """Number of queries."""
    return self.whole.examples

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """The metrics of the whole vectors, and MRR of shorter ones."""
    shorter = list(self.dims.items())[1:]
    return self.whole.metrics | {
        f'mrr, {dim} dimensions': result.metrics['mrr']
        for dim, result in shorter}

  def pictures(self) -> dict[str, Any]:
    """Returns the pictures of the whole vectors."""
    return self.whole.pictures()

  def tables(self) -> dict[str, Any]:
    """Returns the errors of the whole vectors."""
    return self.whole.tables()

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    found = self.whole.to_dict()
    if len(self.dims) > 1:
      found['dimensions'] = {
          str(dim): result.to_dict() for dim, result in self.dims.items()}
    return found


def _distinct(examples: Sequence[task_lib.Example]
              ) -> tuple[np.ndarray, list[str]]:
  """Returns the index of each example's second text, and the distinct texts.
  """
  index = {}
  places = [index.setdefault(e.second, len(index)) for e in examples]
  return np.array(places, np.int32), list(index)
