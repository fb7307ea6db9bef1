# 100 digits, 20 of them labelled; an epoch of four steps, 28 unlabelled and 4 labelled samples each.
TINY = (
    "task=semisupervised",
    "dataset.subset=10",
    "task.labels=2",
    "task.threshold=0.2",
    "trainer.epochs=3",
    "trainer.batch_size=28",
    "trainer.ema=null",
)
# Without layers that look at a whole batch.
TEXTS = (
    "task=semisupervised",
    "task.views=text",
    "task.ratio=4",
    "task.labels=2",
    "task.max_length=16",
    "dataset=docstrings",
    "dataset.size=20",
    "dataset.vocabulary=300",
    "model=encoder",
    "model.width=16",
    "model.layers=1",
    "model.dropout=0",
    "trainer.batch_size=32",
    "trainer.ema=null",
)
ALGORITHMS = ("fixmatch", "flexmatch", "dash")
