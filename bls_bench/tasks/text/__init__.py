"""Classification of texts into one of several classes."""

PARTS = {
    "task": {"text": "task:Text"},
    "dataset": {
        "docstrings": "docstrings:Docstrings",
        "sst2": "sst2:SST2",
        "articles": "articles:Articles",
    },
    "model": {"encoder": "models:Encoder"},
}
