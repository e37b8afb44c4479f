"""The page to explore: what it holds, and what it does in a real browser under mouse and keyboard."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elman.errors import InputError
from elman.inspection import Inspected, tracing
from elman.inspection.exploring import View, explore_page
from elman.inspection.units import Probed, Unit
from elman.nn import Recurrent
from elman.nn.language import LanguageNetwork
from tests.inspection.browser import CHROMIUM, browsing

NAMES = ["a", "</script>", "강", "\n", "&", "b"]


def view(name: str = "run", seed: int = 0, hidden: int = 5, steps: int = 12) -> View:
    torch.manual_seed(seed)
    network = LanguageNetwork(len(NAMES), Recurrent("lstm", len(NAMES), hidden, num_layers=2)).eval()
    symbols = torch.arange(2 * steps).reshape(2, steps) % len(NAMES)

    @torch.no_grad()
    def read() -> torch.Tensor:
        scores: torch.Tensor = network(symbols)[0]
        return scores

    texts = [[NAMES[k] for k in row] for row in symbols.tolist()]
    inspected = Inspected(network, read, lambda scores: scores.sum(2), "the loss", texts, answers=NAMES)
    with tracing(network) as seen:
        read()
    return View(name, inspected, seen)


def held(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*)</script>\n<script>', page)
    assert found
    values: dict[str, Any] = json.loads(found[1])
    return values


def test_the_page_holds_the_numbers_of_the_layers() -> None:
    one = view()
    data = held(explore_page("<title> & more", [one]))
    assert [row["items"] for row in data["rows"]] == one.inspected.steps
    assert [(c["layer"], c["name"]) for c in data["channels"][:6]] == [
        ("recurrent_l0", name) for name in "hcifgo"
    ]
    packed = np.frombuffer(base64.b64decode(data["views"][0]["values"]), np.int8)
    place = 0
    for row, items in enumerate(one.inspected.steps):
        for number, channel in enumerate(data["channels"]):
            layer = next(each for each in one.trace.layers if each.name == channel["layer"])
            wanted = layer.states(channel["name"]) if channel["state"] else layer.gates(channel["name"])
            size = len(items) * channel["units"]
            scale = np.array(data["views"][0]["scales"][number])
            found = packed[place : place + size].reshape(len(items), -1) / 127 * scale
            np.testing.assert_allclose(found, wanted[row].numpy(), atol=0.51 / 127 * scale.max() + 1e-3)
            place += size
    assert place == len(packed)
    answers = data["views"][0]["answers"][1][3]
    shares = one.inspected.read()[1, 3].softmax(0)
    best = int(shares.argmax())
    assert answers[0][0] == NAMES[best]
    assert answers[0][1] == pytest.approx(float(shares[best]), abs=1e-4)
    assert sum(share for _, share in answers) == pytest.approx(1, abs=1e-3)


def test_long_inputs_are_cut_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.inspection.exploring._BYTES", (60 + 200) * 15)
    page = explore_page("title", [view()])
    data = held(page)
    assert [len(row["items"]) for row in data["rows"]] == [12, 3]
    assert "15 steps in 2 rows, the first of 24 in 2: as many as fit into a page" in page


def test_views_must_read_the_same() -> None:
    with pytest.raises(InputError, match="short reads the input in other steps than run"):
        explore_page("title", [view("short", steps=6), view()])
    with pytest.raises(InputError, match="small has other layers than run"):
        explore_page("title", [view("small", hidden=3), view()])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_in_a_real_browser(tmp_path: Path) -> None:
    known = Probed("in a name", 0.5, 12, Unit("recurrent_l1", "c", 2), -1, 0.93, np.ones(5), 0.95)
    early, late = view("early", seed=1), view("late")
    path = tmp_path / "explore.html"
    path.write_text(explore_page("탐색", [early, late], [known]), encoding="utf-8")
    with browsing(tmp_path) as page:
        page.open(path)
        assert page.value("document.title") == "탐색"
        assert page.value("document.querySelectorAll('#text span').length") == 12
        said = page.value("$('said').textContent")
        assert said.startswith("step 0: a; recurrent_l1 c[2] = ")
        _hovers(page, late)
        _slides(page, early, said)
        _selects(page)
        page.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def _number(page: Any) -> float:
    return float(page.value("$('said').textContent.match(/= (-?[0-9.]+);/)[1]"))


def _hovers(page: Any, late: View) -> None:
    """The mouse over a step changes the panel to the numbers of that step."""
    page.mouse("mouseMoved", "#text span:nth-child(3)")
    assert page.value("$('said').textContent").startswith("step 2: 강;")
    layer = late.trace.layers[1]
    assert _number(page) == pytest.approx(float(layer.states("c")[0, 2, 2]), abs=0.02)
    shares = late.inspected.read()[0, 2].softmax(0)
    assert page.value("$('answers').rows[0].cells[1].textContent") == f"{100 * float(shares.max()):.1f} %"
    colours = page.value("[...document.querySelectorAll('#text span')].map(s => s.style.background)")
    assert len(set(colours)) > 3
    signs = ["194" in colour for colour in colours]
    values = layer.states("c")[0, :, 2]
    assert all(sign == bool(v > 0) for sign, v in zip(signs, values, strict=True) if abs(v) > 0.02)


def _slides(page: Any, early: View, before: str) -> None:
    """The sliders of steps and of runs, as a keyboard moves them."""
    page.value("$('step').focus()")
    for kind in ("rawKeyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
        )
    assert page.value("$('said').textContent").startswith("step 3: ")
    assert page.value("$('named').textContent") == "late"
    page.value("$('run').focus()")
    for kind in ("rawKeyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37
        )
    assert page.value("$('named').textContent") == "early"
    assert _number(page) == pytest.approx(float(early.trace.layers[1].states("c")[0, 3, 2]), abs=0.02)
    assert page.value("$('said').textContent") != before


def _selects(page: Any) -> None:
    """Another unit, drawn steps, another row."""
    page.click("#cells canvas")
    assert page.value("$('channel').selectedOptions[0].textContent").startswith("recurrent_l1 h")
    page.mouse("mousePressed", "#text span:nth-child(2)", button="left", clickCount=1)
    page.mouse("mouseMoved", "#text span:nth-child(5)", button="left")
    page.mouse("mouseReleased", "#text span:nth-child(5)", button="left", clickCount=1)
    assert page.value("[$('from').value, $('to').value].join()") == "1,4"
    assert page.value("document.querySelectorAll('#span button').length") == 5
    assert page.value("document.querySelectorAll('#span mark').length") > 5
    page.value("$('row').value = 1; $('row').dispatchEvent(new Event('change'))")
    assert page.value("$('span').textContent") == ""
    page.click("#probes button")
    assert "; recurrent_l1 c[2] = " in page.value("$('said').textContent")
