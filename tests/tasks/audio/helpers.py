"""Sounds in the layouts that data sets are published in."""

import numpy as np
import soundfile


def write_esc50(data, rate):
    """Write ESC-50's layout with two short sounds a class, one in each of two folds."""
    (data / "meta").mkdir(parents=True)
    (data / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for kind in range(50):
        for fold in (1, 2):
            name = f"{fold}-{kind}-A.wav"
            soundfile.write(data / "audio" / name, 0.1 * np.sin(np.arange(2000) * (kind + 1) / 100), rate)
            rows.append(f"{name},{fold},{kind},kind{kind},False,{kind},A")
    (data / "meta" / "esc50.csv").write_text("\n".join(rows))
