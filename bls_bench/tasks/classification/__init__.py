"""Classification of images into one of several classes."""

PARTS = {
    "task": {"classification": "task:Classification"},
    "dataset": {"digits": "digits:Digits", "cifar": "cifar:CIFAR", "imagefolder": "folder:ImageFolder"},
    "model": {
        "classifier": "models:Classifier",
        "vim": "models:Vim",
        "mlp": "small:MLP",
        "cnn": "small:CNN",
    },
}
