"""lmjax: language models in JAX and Flax whose numbers can be trusted."""
__version__ = '0.1.0'


def __getattr__(name):
  """Returns `lmjax.load` or `lmjax.pretrain`; imports it on first use.

  `load` reads a run from its directory; `pretrain` trains one, in memory or in
  a directory.
  """
  if name == 'load':
    from lmjax.recipes import loading
    return loading.load
  if name == 'pretrain':
    from lmjax.recipes import interactive
    return interactive.pretrain
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
