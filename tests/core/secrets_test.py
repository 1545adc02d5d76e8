"""Secrets are hidden, and text that only looks like one is shown."""
import pytest

from lmjax.core import secrets

HIDDEN = secrets.HIDDEN


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
  for name in list(secrets.os.environ):
    if secrets.is_secret(name, secrets.os.environ[name]):
      monkeypatch.delenv(name)


@pytest.mark.parametrize('name', [
    'token', 'HF_TOKEN', 'hf-token', 'hfToken', 'access_token', 'tokens_file',
    'secret', 'client_secret', 'AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID',
    'password', 'passwd', 'db.password', 'api_key', 'apiKey', 'API-KEY',
    'wandb_api_key', 'Authorization', 'proxy-authorization', 'credentials'])
def test_names_of_secrets(name):
  assert secrets.is_secret(name, 'x')
  assert secrets.redact({name: 'x', 'other': 'x'}) == {
      name: HIDDEN, 'other': 'x'}
  assert secrets.command([f'--{name}=x', '--y=x']) == [
      f'--{name}={HIDDEN}', '--y=x']


@pytest.mark.parametrize('name', [
    'num_tokens', 'max_new_tokens', 'maxNewTokens', 'tokenizer', 'tokens',
    'tokenizer_hash', 'eval_tokens', 'nats_per_token', 'tokens_per_second',
    'num_memory_tokens', 'pad_token', 'mask_token_id', 'token_bytes',
    'TOKENIZERS_PARALLELISM', 'author', 'keys', 'key'])
def test_similar_names_that_are_not_secrets(name):
  assert not secrets.is_secret(name, 'x')
  assert secrets.redact({name: 'x'}) == {name: 'x'}
  assert secrets.command([f'--config.a.{name}=x']) == [f'--config.a.{name}=x']


def test_a_number_may_be_a_password_but_not_a_token():
  tree = {'token': 5, 'password': 5, 'secret': None, 'api_key': '', 'x': True}
  assert secrets.redact(tree) == tree | {'password': HIDDEN}
  assert secrets.command(['--token=5e3', '--passwd=5']) == [
      '--token=5e3', f'--passwd={HIDDEN}']


def test_keys_may_be_paths():
  assert secrets.redact({
      'data.source: my token.txt': 'f00', 'https://a:b@c': {'x': 1}}) == {
          'data.source: my token.txt': 'f00', f'https://{HIDDEN}@c': {'x': 1}}


def test_all_below_a_secret_is_hidden():
  assert secrets.redact({'a': [{'secrets': {'x': ['y', 1], 'z': None}}]}) == {
      'a': [{'secrets': {'x': [HIDDEN, HIDDEN], 'z': None}}]}


@pytest.mark.parametrize('text, shown', [
    ('https://me:pw@host/a?b=c', f'https://{HIDDEN}@host/a?b=c'),
    ('https://pw@host:80', f'https://{HIDDEN}@host:80'),
    ('https:/me:pw@host/a', f'https:/{HIDDEN}@host/a'),  # As pathlib leaves it.
    ('see s3://k:s@b/x and gs://b/y', f'see s3://{HIDDEN}@b/x and gs://b/y'),
    ('https://h/a?X-Amz-Signature=ab1&X-Amz-Date=7&page=2',
     f'https://h/a?X-Amz-Signature={HIDDEN}&X-Amz-Date={HIDDEN}&page=2'),
    ('https://h/a?sv=1&sig=ab%2F&token=t#x',
     f'https://h/a?sv=1&sig={HIDDEN}&token={HIDDEN}#x'),
    ('https://h/a?tokens=5&author=me', 'https://h/a?tokens=5&author=me'),
    ('Authorization: Bearer abc.def-1', f'Authorization: {HIDDEN}'),
    ('got "Bearer abcdefgh12"', f'got "Bearer {HIDDEN}"'),
    ("{'hf_token': 'a b', 'x': 'y'}",
     f"{{'hf_token': '{HIDDEN}', 'x': 'y'}}"),
    ('password=abc, api_key: "x"', f'password={HIDDEN}, api_key: "{HIDDEN}"'),
    ('with hf_abcDEF123 or sk-aaaaaaaaaaaaaaaaaaaaa', f'with {HIDDEN} or '
     f'{HIDDEN}'),
    ('me@example.org of 5 tokens: the token is 3; a/b@c',
     'me@example.org of 5 tokens: the token is 3; a/b@c')])
def test_texts(text, shown):
  assert secrets.text(text) == shown
  assert secrets.redact({'a': [text]}) == {'a': [shown]}
  assert secrets.text(shown) == shown  # Comparing hidden with hidden.
  assert secrets.command(['--x=' + text]) == ['--x=' + shown]


def test_values_of_the_environment(monkeypatch):
  monkeypatch.setenv('MY_TOKEN', 'correct horse')
  monkeypatch.setenv('MY_LONG_TOKEN', 'correct horse battery')
  monkeypatch.setenv('SHORT_TOKEN', 'abc')
  monkeypatch.setenv('NUM_TOKENS', 'tokens-of-mine')
  assert secrets.text('a correct horse battery, abc, tokens-of-mine') == (
      f'a {HIDDEN}, abc, tokens-of-mine')


def test_a_flag_and_its_value_apart():
  assert secrets.command([
      '--token', 'x', '--secret', '--steps', '3', '--config.api_key.of', 'y',
      '--eval_tokens', '9']) == [
          '--token', HIDDEN, '--secret', '--steps', '3', '--config.api_key.of',
          HIDDEN, '--eval_tokens', '9']


def test_long_texts_take_no_time():
  for text in 'a' * 200_000, '?a=' * 60_000, 'x:/' * 60_000, 'token' * 40_000:
    secrets.text(text)
