"""The page in a browser: no error, the lists that Python makes, a frame that picks samples."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from bls_bench.gallery.history import facts_of
from bls_bench.gallery.lists import first

from .helpers import made, page, pictures

# Acts once the page is there; what it finds goes into the document, which is then printed.
ACT = """<script>
window.requestAnimationFrame = (call) => setTimeout(call, 0);  // a headless browser may draw no frame
const log = {};
function pick(id, value) {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event("change"));
}
function drag(id, x0, x1, y0, y1) {
  const canvas = byId(id + "-frame"), box = canvas.getBoundingClientRect();
  for (const [kind, x, y] of [["pointerdown", x0, y0], ["pointermove", x1, y1], ["pointerup", x1, y1]]) {
    canvas.dispatchEvent(new PointerEvent(kind, { buttons: 1, pointerId: 1,
      clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  }
}
const number_of = (figure) => +figure.textContent.match(/sample (\\d+)/)[1];
const numbers = (parent) => [...parent.querySelectorAll("figure")].map(number_of);
const listed = () => Object.fromEntries([...document.querySelectorAll("#lists .list")]
  .map((one) => [one.querySelector("h2").textContent, numbers(one)]));
log.run = listed();
log.wrong = numbers(byId("wrong"));
pick("class", "1");
log.class = listed();
pick("class", "");
pick("epoch", "3");
log.epoch = listed();
pick("epoch", "");
drag("map", 0, 1, 0, 1);
setTimeout(() => {
  log.all = byId("brushed").querySelector("h2").textContent;
  log.cards = numbers(byId("brushed")).length;
  drag("times", 0, 0.999 * (66 + (byId("times").clientWidth - 78) / 8) / byId("times").clientWidth, 0.5, 0.5);
}, 300);
setTimeout(() => {
  log.never = numbers(byId("brushed"));
  drag("map", 0.5, 0.5, 0.5, 0.5);
}, 600);
setTimeout(() => {
  log.hidden = byId("brushed").hidden;
  document.body.innerHTML = "";
  element("pre", document.body, JSON.stringify(log)).id = "log";
}, 900);
</script></body>"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Return what the page showed as it was used, for three classes of samples."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    page(path, made(), pictures, np.arange(203) % 3, ("a", "b", "c"))
    path.write_text(path.read_text().replace("</body>", ACT))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, "--virtual-time-budget=3000", f"--user-data-dir={folder / 'profile'}",
         "--enable-logging=stderr", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    return json.loads(html.unescape(re.search(r'<pre id="log">(.*?)</pre>', done.stdout)[1]))


def test_the_lists_are_those_that_have_pictures(log):
    facts, everyone = facts_of(made()), np.ones(203, bool)
    assert log["run"]["Highest mean score"] == first(-facts.mean, everyone).tolist()
    assert log["run"]["Lowest mean score"] == first(facts.mean, everyone).tolist()
    assert log["wrong"] == first(-facts.excess, everyone).tolist()
    assert log["class"]["Highest mean score"] == first(-facts.mean, np.arange(203) % 3 == 1).tolist()
    for name, values in (("Most often", -facts.times), ("Longest absent", -facts.absent)):
        (found,) = (rows for title, rows in log["run"].items() if title.startswith(name))
        assert values[found].tolist() == sorted(values)[: len(found)]


def test_an_epoch_shows_its_own_scores(log):
    history = made()
    scores, kept = history.scores[3].astype(np.float32), history.kept_in(3)
    expected = [first(sign * scores, among).tolist() for among in (kept, ~kept) for sign in (-1, 1)]
    found = list(log["epoch"].values())
    assert [sorted(scores[rows]) for rows in found] == [sorted(scores[rows]) for rows in expected]
    assert all(kept[rows].all() for rows in found[:2])
    assert not any(kept[rows].any() for rows in found[2:])


def test_a_frame_picks_the_samples_within_and_a_click_none(log):
    assert log["all"] == "200 samples in the frame"  # three have no score, and are not on the map
    assert log["cards"] == 48
    assert sorted(log["never"]) == [200, 201, 202]
    assert log["hidden"] is True
