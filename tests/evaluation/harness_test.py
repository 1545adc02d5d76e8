"""The answers to the harness, against each request computed alone."""
import dataclasses
import functools
import itertools
import json
import sys
import types
from unittest import mock

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import chat
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation import continuations
from lmjax.evaluation import harness
from lmjax.evaluation import likelihood
from lmjax.generation import transforms
from lmjax.interop import continuing
from lmjax.interop import importing
from lmjax.models import lstm
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from tests.evaluation import continuations_test

_MERGES = ('ab', 'é', '  ', ' a', 'b\n', 'bé', '\n\n')


class Merging(vocabulary.Tokenizer):
  """A few characters, and merges of them that may run across a boundary."""
  pieces = (*_MERGES, *'abcd é\n.')
  name, vocab_size = 'merging', len(pieces) + 1
  bos_id, eos_id = None, len(pieces)

  def encode(self, text):
    ids = []
    while text:
      ids.append(next(
          i for i, piece in enumerate(self.pieces) if text.startswith(piece)))
      text = text[len(self.pieces[ids[-1]]):]
    return np.array(ids, np.uint16)

  def decode(self, ids):
    return b''.join(map(self.token_bytes, ids)).decode()

  def token_bytes(self, token):
    return self.pieces[token].encode() if token < len(self.pieces) else b''

  def state(self):
    return {}


class Begun(Merging):
  """Documents begin with BOS."""
  bos_id, vocab_size = Merging.vocab_size, Merging.vocab_size + 1


_GPT2, _LLAMA = (
    dataclasses.replace(continuations_test.CONFIGS[name], vocab_size=20)
    for name in ('gpt2', 'llama'))


@functools.cache
def _loaded(config):
  """Returns a model, its parameters and its score, which compiles once."""
  model, params = continuations_test.made(config)
  return model, params, likelihood.of_params(
      functools.partial(lm.branch_scores, model), params)


def run_of(config=_GPT2, tokenizer=Merging(), seed=0, ahead=1, stop_ids=()):
  model, params, score = _loaded(config)
  trained = types.SimpleNamespace(
      config=types.SimpleNamespace(model=config), tokenizer=tokenizer,
      model=model, params=params, placed=params,
      published=continuing.Continuing(stop_ids=stop_ids))
  rate = continuations.branching(score, config.context, ahead=ahead)
  return harness.Run(trained, rate, seed)


def requests_of(count, seed=0):
  """Random contexts and continuations: empty, long, spaces at the boundary."""
  rng = np.random.default_rng(seed)
  def text(low, high):
    return ''.join(rng.choice(list('abcd é\n.'), rng.integers(low, high)))
  contexts = [text(0, rng.choice([1, 9, 40, 200])) + ' ' * rng.integers(3)
              for _ in range(count // 2)]
  return [(contexts[int(rng.integers(len(contexts)))], 'a' + text(0, 12))
          for _ in range(count)]


def pairs_of(run, requests):
  """Returns ids of contexts and continuations, from the rule in a sentence."""
  first = run.trained.tokenizer.bos_id or run.trained.tokenizer.eos_id
  pairs = []
  for context, tail in requests:
    kept = context.rstrip()
    whole = run.encode(kept + context[len(kept):] + tail)
    head = run.encode(kept)
    pairs.append((head, whole[len(head):]) if context else (
        [first], run.encode(tail, begins=False)))
  return pairs


def plainly(run, pairs):
  """Returns the answers, each from one unbatched call without a cache."""
  first = run.trained.tokenizer.bos_id or run.trained.tokenizer.eos_id
  spans = []
  for head, tail in pairs:
    ids = np.array(((head or [first]) + tail)[-run.context - 1:])
    spans.append((ids, len(ids) - len(tail)))
  nats, right = continuations_test.plainly(
      run.trained.model, run.trained.params, spans)
  return -nats, right == [len(tail) for _, tail in pairs]


@pytest.mark.parametrize('config, tokenizer', [
    pytest.param(_GPT2, Merging(), id='gpt2'),
    pytest.param(_LLAMA, Begun(), id='llama', marks=pytest.mark.slow)])
def test_likelihoods_are_those_of_each_request_alone(config, tokenizer):
  run = run_of(config, tokenizer)
  pairs = pairs_of(run, requests_of(200))
  assert max(len(head) for head, _ in pairs) > run.context
  values, greedy = zip(*run.likelihoods(pairs))
  wanted, wanted_greedy = plainly(run, pairs)
  np.testing.assert_allclose(values, wanted, rtol=2e-6, atol=1e-5)
  assert list(greedy) == wanted_greedy.tolist()


def test_no_bit_depends_on_the_batch_size():
  runs = [run_of(ahead=ahead) for ahead in (1, 3, 8)]
  pairs = pairs_of(runs[0], requests_of(200))
  one, three, eight = (run.likelihoods(pairs) for run in runs)
  assert one == three == eight


@pytest.mark.slow
def test_the_most_probable_continuation_is_greedy():
  run = run_of()
  ids = run.encode('ab cd')
  logits = run.trained.model.apply(
      {'params': run.trained.params}, np.array([ids]))[0][0, -1]
  best = int(np.argmax(logits))
  assert [greedy for _, greedy in run.likelihoods(
      [(ids, [best]), (ids, [(best + 1) % 20]), (ids, [best, best])])][:2] == [
          True, False]


def test_a_continuation_longer_than_the_context_is_refused():
  run = run_of()
  with pytest.raises(errors.InputError, match='Request 1: .* 97 tokens'):
    run.likelihoods([([1], [2]), ([1], [2] * 97)])


def greedily(run, prompt, limit):
  """Returns the most probable ids, each from a call without a cache."""
  ids = (run.encode(prompt) or [run.first])[limit - run.context:]
  begun = len(ids)
  apply = jax.jit(lambda ids_BT: run.trained.model.apply(
      {'params': run.trained.params}, ids_BT)[0])
  for _ in range(limit):
    padded = np.pad(ids, (0, run.context - len(ids)))
    logits_V = apply(padded[None])[0, len(ids) - 1]
    ids.append(int(np.argmax(logits_V[:run.trained.tokenizer.vocab_size])))
    if ids[-1] == run.trained.tokenizer.eos_id:
      break
  return run.trained.tokenizer.decode(ids[begun:])


@pytest.mark.slow
def test_greedy_texts_are_those_of_each_prompt_alone():
  run = run_of()
  prompts = ['', 'ab', 'abcd é' * 30, 'a', 'bbb\n'] * 2
  found = run.texts([(prompt, {'max_gen_toks': 9}) for prompt in prompts])
  assert found == [greedily(run, prompt, 9) for prompt in prompts]
  assert found[:5] == found[5:] and len(set(found)) > 3


@pytest.mark.slow
def test_texts_end_before_a_stop_string():
  run = run_of()
  whole, = run.texts([('ab', {'max_gen_toks': 40})])
  stop = whole[3:5]
  given = {'max_gen_toks': 40, 'until': [stop, '']}
  assert run.texts([('ab', given), ('ab', {'max_gen_toks': 3})]) == [
      whole.partition(stop)[0], greedily(run, 'ab', 3)]


@pytest.mark.slow
def test_texts_end_before_each_id_that_ends_one():
  run = run_of()
  prompts, given = ['ab', 'a', 'bbb\n'], {'max_gen_toks': 9}
  whole = run.texts([(prompt, given) for prompt in prompts])
  ids = [run.encode(text) for text in whole]
  ends = (ids[0][2], ids[1][1])
  found = run_of(stop_ids=ends).texts([(prompt, given) for prompt in prompts])
  assert found == [run.trained.tokenizer.decode(itertools.takewhile(
      lambda i: i not in ends, some)) for some in ids]
  assert found[0] != whole[0] and found[1] != whole[1]


@pytest.mark.slow
def test_draws_depend_on_the_seed_and_on_the_request_alone():
  given = {'max_gen_toks': 9, 'do_sample': True, 'temperature': 0.9,
           'top_p': 0.95}
  requests = [(prompt, given) for prompt in ['a', 'b', 'abcd' * 9, 'a'] * 4]
  found = run_of().texts(requests)
  assert found == run_of().texts(requests) != run_of(seed=1).texts(requests)
  assert found[:5] == run_of().texts(requests[:5])
  assert found[0] != found[3]  # The same prompt, asked again.


def test_options_of_tasks_become_those_of_the_sampler():
  greedy = transforms.Sampling(temperature=0)
  for given, wanted in [
      ({}, harness.Wanted((), 256, greedy)),
      ({'until': 'a', 'max_tokens': 5}, harness.Wanted(('a',), 5, greedy)),
      ({'until': ['a', ''], 'do_sample': False, 'temperature': 0.5},
       harness.Wanted(('a',), 256, greedy)),
      ({'temperature': 0.5, 'top_p': 0.9}, harness.Wanted(
          (), 256, transforms.Sampling(temperature=0.5, top_p=0.9))),
      ({'do_sample': True}, harness.Wanted((), 256, transforms.Sampling()))]:
    assert harness.Wanted.of(given) == wanted
  with pytest.raises(errors.InputError, match="'top_q'.*mean 'top_"):
    harness.Wanted.of({'top_q': 1})
  with pytest.raises(errors.InputError, match='below the 96 tokens.*got 96'):
    run_of().texts([('a', {'max_gen_toks': 96})])


def _trained(model, objective, kind):
  return types.SimpleNamespace(kind=kind, config=types.SimpleNamespace(
      model=model, objective=objective))


def test_models_that_do_not_read_from_left_to_right_are_refused():
  harness.check(_trained(_GPT2, lm.Causal(), 'exact'))
  harness.check(_trained(lstm.RecurrentConfig(), lm.Causal(), 'exact'))
  both = dataclasses.replace(_GPT2, causal=False)
  with pytest.raises(errors.InputError, match='with MaskedLM does not'):
    harness.check(_trained(both, mlm.MaskedLM(), 'pseudo'))


def test_a_system_message_that_a_template_refuses_is_left_out():
  template = chat.ChatTemplate(
      '{% for m in messages %}{% if m.role == "system" %}'
      '{{ raise_exception("no system") }}{% endif %}{{ m.content }}'
      '{% endfor %}')
  run = dataclasses.replace(run_of(), chat=template)
  history = [{'role': 'system', 'content': 'x'},
             {'role': 'user', 'content': 'y'}]
  assert run.written(history) == 'y'
  with pytest.raises(errors.InputError, match='list of messages'):
    run.written(history[:1])


def _instances(library, kind, requests):
  return [library.Instance(kind, {}, request, i)
          for i, request in enumerate(requests)]


@pytest.mark.slow
@pytest.mark.parametrize('config, tokenizer', [
    (_GPT2, Merging()), (_LLAMA, Begun())], ids=['gpt2', 'llama'])
def test_the_harness_gets_the_answers_of_its_own_rules(config, tokenizer):
  library = pytest.importorskip('lm_eval.api.instance')
  run = run_of(config, tokenizer)
  requests = [request for request in requests_of(200)
              if request[0].strip() or not request[0]]
  model = harness.model_of(run)
  values, greedy = zip(*model.loglikelihood(
      _instances(library, 'loglikelihood', requests), disable_tqdm=True))
  own = [choice_rules.harness_pair(tokenizer, *pair) for pair in requests]
  assert own == [tuple(pair) for pair in pairs_of(run, requests)]
  wanted, wanted_greedy = plainly(run, own)
  np.testing.assert_allclose(values, wanted, rtol=2e-6, atol=1e-5)
  assert list(greedy) == wanted_greedy.tolist()
  texts = model.generate_until(_instances(
      library, 'generate_until', [('ab', {'max_gen_toks': 9})]))
  assert texts == [greedily(run, 'ab', 9)]


@pytest.mark.slow
def test_a_whole_text_is_scored_once_in_windows_of_the_context():
  library = pytest.importorskip('lm_eval.api.instance')
  run = run_of(_LLAMA, Begun())
  texts = ['', 'ab', 'abc ' * 200]
  found = harness.model_of(run).loglikelihood_rolling(
      _instances(library, 'loglikelihood_rolling', [(t,) for t in texts]))
  for text, value in zip(texts, found):
    ids, size = run.encode(text), run.context
    pairs = [([run.first], ids[:size])] + [
        (ids[max(0, min(i + size, len(ids)) - size - 1):i], ids[i:i + size])
        for i in range(size, len(ids), size)]
    assert value == pytest.approx(plainly(run, pairs)[0].sum(), abs=1e-3)


def _published(folder, bos):
  """Writes a tiny model as on the Hugging Face Hub; returns it."""
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  letters = spelling.byte_letters()
  vocab = {letters[i]: i for i in range(256)} | {'ab': 256, 'Ġa': 257}
  spec = parts.spec(
      byte_level.model(vocab, ['a b', 'Ġ a']),
      [parts.added('<s>', 258), parts.added('</s>', 259)],
      pre_tokenizer=parts.byte_level(), decoder=parts.byte_level(),
      post_processor=parts.frame({'<s>': 258}, ['<s>'], [], []) if bos else None)
  (folder / 'tokenizer.json').write_text(json.dumps(spec))
  tokenizer = transformers.PreTrainedTokenizerFast(
      tokenizer_file=str(folder / 'tokenizer.json'), bos_token='<s>',
      eos_token='</s>', model_max_length=96)
  torch.manual_seed(0)
  model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
      vocab_size=260, hidden_size=32, intermediate_size=48, bos_token_id=258,
      eos_token_id=259, num_hidden_layers=2, num_attention_heads=4,
      num_key_value_heads=2, max_position_embeddings=96)).eval()
  with torch.no_grad():
    for weight in model.parameters():
      weight.normal_(0, 0.15).add_(weight.ndim == 1)
  model.save_pretrained(folder)
  tokenizer.save_pretrained(folder)
  return model, tokenizer


@pytest.mark.slow
@pytest.mark.parametrize('bos', [False, True])
def test_answers_are_those_of_the_harness_own_model(
    bos, tmp_path, monkeypatch):
  library = pytest.importorskip('lm_eval.api.instance')
  model, tokenizer = _published(tmp_path, bos)
  for name in 'accelerate', 'accelerate.utils':  # Imported, not used on a CPU.
    monkeypatch.setitem(sys.modules, name, mock.MagicMock())
  huggingface = pytest.importorskip('lm_eval.models.huggingface')
  theirs = huggingface.HFLM(  # Its cache takes wrong logits of texts that
      pretrained=model, tokenizer=tokenizer, batch_size=4, device='cpu',
      logits_cache=False)  # repeat themselves, in version 0.4.13.
  imported = importing.load(tmp_path)
  trained = types.SimpleNamespace(
      config=types.SimpleNamespace(model=imported.config),
      tokenizer=pretrained.PretrainedTokenizer(str(tmp_path)).build(),
      model=imported.model, params=imported.params, placed=imported.params,
      published=continuing.Continuing())
  mine = harness.model_of(harness.Run(trained, continuations.of_params(
      functools.partial(lm.branch_scores, imported.model), imported.params,
      None, imported.config.context)))
  requests = [request for request in requests_of(100)
              if request[0].strip() or not request[0]]
  asked = _instances(library, 'loglikelihood', requests)
  (values, greedy), (wanted, wanted_greedy) = (
      zip(*found.loglikelihood(asked, disable_tqdm=True))
      for found in (mine, theirs))
  np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-4)
  assert greedy == wanted_greedy
  asked = _instances(library, 'loglikelihood_rolling', [
      ('ab é',), ('abcd ' * 50,)])
  np.testing.assert_allclose(
      mine.loglikelihood_rolling(asked),
      theirs.loglikelihood_rolling(asked, disable_tqdm=True), rtol=1e-5)
  asked = _instances(library, 'generate_until', [
      (text, {'max_gen_toks': 12, 'until': ['zz'], 'do_sample': False})
      for text in ('ab é', 'abcd ' * 60, 'a')])
  assert mine.generate_until(asked) == theirs.generate_until(
      asked, disable_tqdm=True)

  tokenizer.chat_template = (
      "{{ bos_token }}{% for m in messages %}{{ m['role'] + ': ' + "
      "m['content'] + '</s>' }}{% endfor %}{% if add_generation_prompt %}"
      '{{ "assistant: " }}{% endif %}')
  mine = harness.model_of(harness.Run(trained, None, chat=chat.ChatTemplate(
      tokenizer.chat_template, {'bos_token': '<s>'})))
  history = [{'role': 'system', 'content': 'Be brief.'},
             {'role': 'user', 'content': 'ab é '}]
  for reply in True, False:
    text = mine.apply_chat_template(history, reply)
    assert text == theirs.apply_chat_template(history, reply)
    for each in text, text.removeprefix('<s>'):
      assert mine.tok_encode(each) == theirs.tok_encode(each)
  assert mine.chat_template(True) == tokenizer.chat_template
