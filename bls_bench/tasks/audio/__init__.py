"""Classification of sounds into one of several classes."""

PARTS = {
    "task": {"audio": "task:Audio"},
    "dataset": {"chirps": "chirps:Chirps", "esc": "esc:ESC"},
    "model": {"logmel_cnn": "models:LogMelCNN", "speech_encoder": "models:SpeechEncoder"},
}
