"""Recognition of text: the letters of words on pictures."""

PARTS = {
    "task": {"text_recognition": "task:TextRecognition"},
    "dataset": {
        "digit_words": "digit_words:DigitWords",
        "listed_words": "listed:ListedWords",
        "lmdb_words": "databases:LmdbWords",
    },
    "model": {
        "ctc_network": "models:CTCNetwork",
        "position_attention": "models:PositionAttention",
    },
}
