"""lmjax: language models in JAX and Flax whose numbers can be trusted."""
__version__ = '0.1.0'


def __getattr__(name):
  """Returns `lmjax.load`, which reads a run; imports it on first use."""
  if name == 'load':
    from lmjax.recipes import loading
    return loading.load
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
