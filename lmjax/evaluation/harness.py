"""A run as a model of the lm-evaluation-harness, for its tasks and metrics.

The harness asks three questions: for the likelihood of a continuation, for the
likelihood of a whole text in windows, and for a continuation. The answers are
those of its own model for Hugging Face checkpoints, and none of their bits
depends on how requests are grouped: each is computed by a program of a fixed
shape.

References:
  Gao et al., A framework for few-shot language model evaluation, version
  0.4.13, https://github.com/EleutherAI/lm-evaluation-harness.
"""
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import chat as chat_lib
from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation import continuations
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import streaming
from lmjax.generation import transforms

ROWS = 8  # Prompts that one program continues.
_TOKENS = 256  # Most tokens of a continuation, where a task does not say.
_LIMITS = ('max_gen_toks', 'max_new_tokens', 'max_tokens',
           'max_completion_tokens')  # All mean the same; the first one counts.


@dataclasses.dataclass(frozen=True)
class Wanted:
  """How a task wants prompts to be continued.

  Attributes:
    stop: Strings that end a text.
    limit: Most tokens to draw.
    sampling: How tokens are drawn.
  """
  stop: tuple[str, ...] = ()
  limit: int = _TOKENS
  sampling: transforms.Sampling = transforms.Sampling(temperature=0)

  @classmethod
  def of(cls, given: Mapping[str, Any]) -> 'Wanted':
    """Returns the meaning of a task's `generation_kwargs`.

    Raises:
      InputError: If an option is unknown or has a wrong value.
    """
    given = dict(given)
    stop = given.pop('until', None) or ()
    stop = (stop,) if isinstance(stop, str) else tuple(stop)
    limits = [given.pop(name) for name in _LIMITS if name in given]
    draws = given.pop('do_sample', None)
    temperature = given.pop('temperature', 1.0 if draws else 0.0)
    known = transforms.Sampling.__match_args__
    for name in given:
      if name not in known:
        raise errors.InputError(
            f'generation_kwargs of a task should be until, do_sample, '
            f'{_LIMITS[0]}, {", ".join(known)}; got {name!r}.'
            f'{config_lib.near(name, [*known, *_LIMITS])}')
    if draws is False:
      temperature = 0.0
    return cls(tuple(text for text in stop if text), *limits[:1],
               sampling=transforms.Sampling(
                   **given | {'temperature': float(temperature)}))


@dataclasses.dataclass(frozen=True)
class Run:
  """A run that answers the questions of the harness.

  Attributes:
    trained: The run, such as a `recipes.loaded.trained.Trained`: its config,
      tokenizer, model, parameters and ids that end texts.
    rate: The likelihood of continuations under it; None if none is asked for.
    seed: Seed of the draws, for tasks that sample.
    chat: The template by which the harness writes prompts as conversations, or
      None. Names of special tokens in a text are then these tokens.
  """
  trained: Any
  rate: continuations.Rate | None = None
  seed: int = 0
  chat: chat_lib.ChatTemplate | None = None

  @property
  def context(self) -> int:
    """Most tokens that the model reads."""
    return self.trained.config.model.context

  @property
  def first(self) -> int:
    """The id before a text that nothing precedes."""
    return choice_rules.first(self.trained.tokenizer)

  def encode(self, text: str, begins: bool = True) -> list[int]:
    """Returns the ids of a text, after BOS if it begins a document."""
    tokenizer = self.trained.tokenizer
    if self.chat is not None:
      ids = tokenizer.encode_with_specials(text).tolist()
      bos = tokenizer.bos_id
      # A template may have written BOS.
      return ids if not begins or bos in (None, *ids[:1]) else [bos, *ids]
    ids = prompts_lib.begun(tokenizer, text) if begins else (
        tokenizer.encode(text))
    return ids.tolist()

  def written(self, messages: Sequence[chat_lib.Message], reply: bool = True
              ) -> str:
    """Returns a conversation as text.

    A template that refuses the message of the system gets the others.

    Args:
      messages: The messages.
      reply: Whether a reply begins after the last message; if not, the last
        message is one that goes on.
    """
    write = self.chat.render if reply else self.chat.begin_reply
    try:
      return write(messages)
    except errors.InputError:
      rest = [each for each in messages if each['role'] != 'system']
      if len(rest) == len(messages):
        raise
      return write(rest)

  def likelihoods(self, pairs: Sequence[tuple[list[int], list[int]]]
                  ) -> list[tuple[float, bool]]:
    """Returns log-likelihoods, and whether each id is the most probable one.

    Args:
      pairs: The ids of contexts and of continuations. Contexts are cut from the
        left to what the model reads.
    """
    spans = [
        choice_rules.cut_left(head or [self.first], tail, self.context,
                              f'Request {i}')[0]
        for i, (head, tail) in enumerate(pairs)]
    return [(-nats, right == len(tail)) for nats, right, (_, tail) in zip(
        *(found.tolist() for found in self.rate(spans)), pairs)]

  def texts(self, requests: Sequence[tuple[str, Mapping[str, Any]]]
            ) -> list[str]:
    """Returns continuations.

    Args:
      requests: Prompts, each with the task's `generation_kwargs`. Prompts are
        cut from the left, so that the tokens to draw fit into the context.
    """
    groups, out = {}, [''] * len(requests)
    for i, (prompt, given) in enumerate(requests):
      wanted = Wanted.of(given)
      width = prompts_lib.bucket(len(self._begun(prompt, wanted.limit)), 16)
      groups.setdefault((width, wanted), []).append(i)
    keys = streaming.keys(self.seed, len(requests), 1) if requests else None
    for (_, wanted), members in groups.items():
      for start in range(0, len(members), ROWS):
        some = members[start:start + ROWS]
        rows = np.array(some + some[-1:] * (ROWS - len(some)))
        found = streaming.complete(
            self.trained.model, self.trained.placed, self.trained.tokenizer,
            [requests[i][0] for i in rows], max_new_tokens=wanted.limit,
            sampling=wanted.sampling, stop=wanted.stop,
            stop_ids=self.trained.published.stop_ids, rng=keys[rows],
            encode=lambda _, text: self._begun(text, wanted.limit))
        for i, one in zip(some, found):
          out[i] = one.text
    return out

  def written_for(self, prompts: Sequence[str], limit: int,
                  stop: Sequence[str] = ()) -> list[str]:
    """Returns the most probable continuations; see `texts`.

    Args:
      prompts: The prompts.
      limit: Most tokens of a continuation.
      stop: Strings before the first of which a continuation ends.
    """
    return self.texts([(prompt, {'until': list(stop), _LIMITS[0]: limit})
                       for prompt in prompts])

  def _begun(self, prompt: str, limit: int) -> list[int]:
    """Returns the ids of a prompt that leave room for `limit` more."""
    if not 0 < limit < self.context:
      raise errors.InputError(
          f'{_LIMITS[0]} of a task, or answers.tokens, should be at least 1 '
          f'and below the {self.context} tokens that the model reads, so that '
          f'there is room for the prompt; got {limit}.')
    return (self.encode(prompt) or [self.first])[limit - self.context:]


def check(run: Any, what: str = 'The lm-evaluation-harness') -> None:
  """Checks that the tasks of the harness can be put to a run.

  Args:
    run: The run.
    what: What asks, for the message.

  Raises:
    InputError: If its model does not predict each token from the tokens before
      it.
  """
  if run.kind != 'exact' or not run.config.model.traits.cached:
    raise errors.InputError(
        f'{what} needs a model that predicts each token from '
        f'the tokens before it, but {type(run.config.model).__name__} with '
        f'{type(run.config.objective).__name__} does not; '
        'experiments/evaluate.py --config.choices.paths=... answers questions '
        'with any likelihood.')


def model_of(run: Run) -> Any:
  """Returns a run as a `TemplateLM` of the harness."""
  from lm_eval import utils  # pylint: disable=g-import-not-at-top
  from lm_eval.api import model  # pylint: disable=g-import-not-at-top

  class Model(model.TemplateLM):
    """The harness encodes texts and splits them; `Run` does the rest."""
    eot_token_id = run.trained.tokenizer.eos_id
    max_length, max_gen_toks = run.context, _TOKENS
    batch_size = ROWS
    tokenizer_name = run.trained.tokenizer.digest

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
      return run.written(chat_history, add_generation_prompt)

    def chat_template(self, chat_template=False):
      return run.chat.text if chat_template and run.chat else ''

    @property
    def prefix_token_id(self):
      return run.first

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
      return run.encode(string, begins=add_special_tokens is not False)

    def _loglikelihood_tokens(self, requests, **kwargs):
      answers = run.likelihoods([pair for _, *pair in requests])
      for (texts, *_), answer in zip(requests, answers):
        if texts is not None:
          self.cache_hook.add_partial('loglikelihood', texts, answer)
      return answers

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
      windows = [(i, utils.make_disjoint_window(window))
                 for i, request in enumerate(requests)
                 for window in utils.get_rolling_token_windows(
                     token_list=self.tok_encode(*request.args),
                     prefix_token=self.prefix_token_id,
                     max_seq_len=self.max_length, context_len=1)]
      sums = [0.0] * len(requests)
      for (i, _), (nats, _) in zip(
          windows, run.likelihoods([window for _, window in windows])):
        sums[i] += nats
      for request, answer in zip(requests, sums):
        self.cache_hook.add_partial(
            'loglikelihood_rolling', request.args, answer)
      return sums

    def generate_until(self, requests, disable_tqdm=False):
      answers = run.texts([request.args for request in requests])
      for request, answer in zip(requests, answers):
        self.cache_hook.add_partial('generate_until', request.args, answer)
      return answers
  return Model()
