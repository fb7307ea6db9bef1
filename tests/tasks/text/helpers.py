# A hundred texts, three epochs of three steps.
TINY = (
    "task=text",
    "dataset.size=20",
    "dataset.vocabulary=300",
    "task.max_length=16",
    "model.width=16",
    "model.layers=1",
    "trainer.epochs=3",
    "trainer.batch_size=32",
)
