"""The page of an evaluation: self-contained, a table, charts and pictures per setting, in words that a person reads."""

import re

import numpy as np
import pytest

from gaintuning_tf.reports.evaluation_report import Pictures, title, write_page
from helpers.html_pages import others, pictures


def result(sigma, gain=0.25, images=2, **more):
    rows = [
        {"image": f"<{n}>.png", "psnr_pretrained": 30.0 + n, "psnr_tuned": 30.0 + n + gain, "seconds": 1.26}
        for n in range(images)
    ]
    mean = {"psnr_pretrained": 30.5, "psnr_tuned": 30.5 + gain, "seconds": 1.26, **more}
    spread = {"below_pretrained": 0, "least_gain": gain, "most_gain": gain}
    settings = {"folder": "a/f", "sigma": sigma, "model": "b/m.keras", "no_tune": False, "compare": ["nlm"]}
    return {"images": rows, "mean": mean, "spread": spread, "settings": settings}


def test_a_table_and_charts_per_setting_and_no_other_file(tmp_path):
    pytest.importorskip("matplotlib")
    results = [result(25.0), result(50.0, gain=0.75, fraction=0.7)]
    write_page(tmp_path / "e.html", results)
    text = (tmp_path / "e.html").read_text()
    assert others(text) == []
    assert text.count('<svg class="chart"') == 4
    assert "&lt;1&gt;.png" in text and "<1>" not in text
    assert "Tuning changes PSNR by +0.25 to +0.75 dB on average" in text
    assert "<th>PSNR before tuning</th>" in text and "<td>31.25</td>" in text and "<td>+0.25</td>" in text
    assert "70 % of the oracle" in text
    assert [title(one["settings"]) for one in results] == re.findall("<h2>(f, .*?)</h2>", text)
    rows = [re.findall("<t[dh]>", row) for row in re.findall("<tr>(.*?)</tr>", text.partition("Means")[2])]
    assert len({len(cells) for cells in rows[:3]}) == 1  # a column that one setting lacks is left empty
    assert "<td>not tuned</td><td>no</td>" in text and "<td>beside</td><td>nlm</td>" in text


def test_one_setting_needs_no_overview(tmp_path):
    pytest.importorskip("matplotlib")
    write_page(tmp_path / "e.html", [result("auto", gain=-0.3)])
    text = (tmp_path / "e.html").read_text()
    assert "Means" not in text
    assert "<h2>f, noise as it is found, m</h2>" in text
    assert 'class="verdict worse"' in text and "by -0.30 dB" in text
    assert [file.name for file in tmp_path.iterdir()] == ["e.html"]


def test_each_image_is_shown_where_tuning_changed_most_and_of_many_the_extremes(tmp_path):
    pytest.importorskip("matplotlib")
    one, shown = result(25.0, images=30), Pictures()
    for number, row in enumerate(one["images"]):
        row["psnr_tuned"] += 0.01 * number
    images = {name: np.zeros((200, 300)) for name in ("noisy", "pretrained", "tuned", "clean")}
    images["tuned"][150:, 200:] = 0.5
    for row in one["images"][1:]:
        shown.add(row["image"], images)
    write_page(tmp_path / "e.html", [one], [shown])
    text = (tmp_path / "e.html").read_text()
    found = pictures(text)
    assert [part.shape for part in found] == [(128, 128)] * 4 * 24
    assert found[2].max() == 128 and found[0].max() == 0
    assert "The 12 that gained most, and as many that gained least. 1 were measured by a run before this one." in text
    assert "&lt;29&gt;.png: 59.00 dB before, 59.54 tuned (+0.54)" in text and "&lt;15&gt;.png: " not in text
