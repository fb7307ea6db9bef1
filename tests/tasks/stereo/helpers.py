import numpy as np
from PIL import Image

# Sixteen scenes, three epochs of four steps.
TINY = (
    "task=stereo",
    "dataset.scenes=16",
    "dataset.height=32",
    "dataset.width=48",
    "model.planes=8",
    "model.width=8",
    "trainer.epochs=3",
    "trainer.batch_size=4",
)
SIZE = (48, 32)


def sight(path, number=0, size=SIZE):
    """Write a picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def depths(path, values, size=SIZE):
    """Write a map of depths, 16 bits, whose rows are these values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.resize(np.array(values, dtype=np.uint16), (size[1], size[0]))
    Image.fromarray(table).save(path)


def frames(root, count=15, values=(900, 2000)):
    """Write frames of a camera that goes 5 cm to the right each time; returns the folder."""
    for at in range(count):
        sight(root / f"{at:03}.jpg", at)
        depths(root / f"{at:03}.png", values)
        pose = np.eye(4)
        pose[0, 3] = 0.05 * at
        np.savetxt(root / f"{at:03}.txt", pose)
    return root


def aerial(root, views=5, names=("000", "001"), size=SIZE):
    """Write two areas in the layout of WHU-MVS, 100 m above a flat ground; returns the folder."""
    for part in ("train", "test"):
        folder = root / part
        for area in ("002_35", "006_8"):
            for view in range(views):
                for name in names:
                    sight(folder / "Images" / area / str(view) / f"{name}.png", view, size)
                    depths(folder / "Depths" / area / str(view) / f"{name}.png", [6400], size)
                    camera = folder / "Cams" / area / str(view) / f"{name}.txt"
                    camera.parent.mkdir(parents=True, exist_ok=True)
                    camera.write_text(
                        f"extrinsic\n1 0 0 {500000 + 10 * view}\n0 1 0 3000000\n0 0 1 100\n0 0 0 1\n\n"
                        f"60.0 24.0 16.0\n\n80.0 120.0 0.15\n{view} 0 0 0 0 {size[0]} {size[1]}\n"
                    )
        (folder / "index.txt").write_text("002_35\n006_8\n")
        lines = [f"{v}\n{views - 1} {' '.join(str(o) for o in range(views) if o != v)}" for v in range(views)]
        (folder / "pair.txt").write_text("\n".join([str(views), *lines, ""]))
    return root
