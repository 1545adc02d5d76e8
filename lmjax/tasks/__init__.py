"""Downstream tasks by name; each is a value, `task.Task` says of what."""
from lmjax.tasks import classification
from lmjax.tasks import docstrings
from lmjax.tasks import readers

TASKS = {
    'docstrings': classification.Classification(docstrings.Docstrings()),
    'sst2': classification.Classification(readers.Labelled(
        train=readers.Tfds('glue/sst2', 'train', ('sentence',)),
        test=readers.Tfds('glue/sst2', 'validation', ('sentence',)),
        held_out=0.02)),
    'ag_news': classification.Classification(readers.Labelled(
        train=readers.Tfds('ag_news_subset', 'train', ('title', 'description')),
        test=readers.Tfds('ag_news_subset', 'test', ('title', 'description')),
        held_out=0.05)),
}
