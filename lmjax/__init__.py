"""lmjax: language models in JAX and Flax whose numbers can be trusted."""
__version__ = '0.1.0'


def __getattr__(name):
  """Returns `load`, `pretrain` or `finetune`, imported on first use.

  `load` reads a run from its directory; `pretrain` and `finetune` train one, in
  memory or in a directory.
  """
  if name == 'load':
    from lmjax.recipes.loaded import loading
    return loading.load
  if name in ('pretrain', 'finetune'):
    from lmjax.recipes import interactive
    return getattr(interactive, name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
