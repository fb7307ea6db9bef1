from PIL import Image, ImageDraw

# Sixty words, three epochs of four steps.
TINY = (
    "task=text_recognition",
    "dataset.words=60",
    "dataset.digits=3",
    "dataset.width=48",
    "model.width=32",
    "trainer.epochs=3",
    "trainer.batch_size=16",
)


def picture(text, size=(60, 20)):
    """Return a picture with a text on it."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((4, 4), text, "black")
    return image


def listed(root, words, sets=("train", "test")):
    """Write for each set a list of these words, and their pictures; returns the folder."""
    for name in sets:
        (root / name).mkdir(parents=True)
        for at, word in enumerate(words):
            picture(word).save(root / name / f"{at}.png")
        lines = [f"{name}/{at}.png\t{word}\n" for at, word in enumerate(words)]
        (root / f"{name}.tsv").write_text("".join(lines))
    return root
