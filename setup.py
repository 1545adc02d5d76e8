"""Packaging of lmjax; the extras are what users need beyond the core."""
import pathlib

import setuptools

_ROOT = pathlib.Path(__file__).parent
_VERSION = next(
    line.split("'")[1]
    for line in (_ROOT / 'lmjax/__init__.py').read_text().splitlines()
    if line.startswith('__version__'))

_TESTS = ['pytest>=8', 'pytest-xdist>=3.6', 'grain>=0.2.18', 'gguf>=0.17']
_SEQ2SEQ = ['sacrebleu>=2.4', 'rouge-score>=0.1.2']  # BLEU, chrF, TER, ROUGE.
_NOTEBOOKS = ['nbmake>=1.5', 'ipykernel']

setuptools.setup(
    name='lmjax',
    version=_VERSION,
    description='Language models in JAX and Flax whose numbers can be trusted.',
    long_description=(_ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=[*setuptools.find_packages(include=['lmjax', 'lmjax.*']),
              'lmjax.experiments', 'lmjax.experiments.configs'],
    package_dir={'lmjax.experiments': 'experiments'},  # For `lmjax pretrain`.
    package_data={
        'lmjax': ['py.typed', 'interop/audit/*.txt'],
        'lmjax.experiments.configs': ['lm_eval/*.yaml']},
    entry_points={'console_scripts': ['lmjax = lmjax.__main__:main']},
    python_requires='>=3.11',
    install_requires=[
        'jax>=0.10.2,<0.13',
        'flax>=0.12.8',
        'optax>=0.2.8',
        'orbax-checkpoint>=0.12.8',
        'absl-py>=2.1',
        'numpy>=2.0',
        'sentencepiece>=0.2.3',
        'tensorflow-datasets>=4.9.10',
        'importlib_resources',  # TFDS needs it and does not say so.
        'array_record>=0.8',  # TFDS data read without TensorFlow.
        'matplotlib>=3.8',
        'minijinja>=3',  # Chat templates, in a sandbox.
        'rich>=13',
        'safetensors>=0.5',
        'tensorboardX>=2.6',
        'tokenizers>=0.21',
    ],
    extras_require={
        'cuda': ['jax[cuda12]>=0.10.2,<0.13'],
        'tpu': ['jax[tpu]>=0.10.2,<0.13'],
        'tensorflow': ['tensorflow-cpu>=2.19'],
        'data': ['grain>=0.2.18'],
        'notebooks': _NOTEBOOKS,
        'docs': ['sphinx>=8.2', 'myst-nb>=1.4', 'furo>=2025.7.19'],
        'wandb': ['wandb>=0.19'],
        'mlflow': ['mlflow-skinny>=3'],
        'gguf': ['gguf>=0.17'],
        'lm_eval': ['lm-eval>=0.4.9'],
        'seq2seq': _SEQ2SEQ,
        'parity': ['torch==2.13.0', 'transformers>=5', 'tiktoken>=0.9',
                   'onnxruntime>=1.20', 'fasttext-predict>=0.9',
                   'seqeval>=1.2'],
        'kenlm': ['kenlm>=0.3'],  # Tests ARPA files; builds from source.
        'test': _TESTS + _NOTEBOOKS + _SEQ2SEQ,
    },
)
