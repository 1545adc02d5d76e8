"""lmjax: language models in JAX and Flax whose numbers can be trusted."""
__version__ = '0.1.0'
