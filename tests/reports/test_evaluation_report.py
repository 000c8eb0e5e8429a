"""The page of an evaluation: self-contained, a table and a chart per setting."""

import re

import pytest

from gaintuning_tf.reports.evaluation_report import name, write_page


def result(sigma, **more):
    rows = [
        {"image": f"<{number}>.png", "psnr_pretrained": 30.0 + number, "psnr_tuned": 30.25 + number, "seconds": 1.26}
        for number in range(2)
    ]
    mean = {"psnr_pretrained": 30.5, "psnr_tuned": 30.75, "seconds": 1.26, **more}
    spread = {"below_pretrained": 0, "least_gain": 0.25, "most_gain": 0.25}
    settings = {"folder": "f", "sigma": sigma, "model": "m", "no_tune": False}
    return {"images": rows, "mean": mean, "spread": spread, "settings": settings}


def test_a_table_and_a_chart_per_setting_and_no_other_file(tmp_path):
    pytest.importorskip("matplotlib")
    results = [result(25.0), result(50.0, fraction=0.7)]
    write_page(tmp_path / "e.html", results)
    text = (tmp_path / "e.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert text.count("data:image/png") == 2
    assert "&lt;1&gt;.png" in text
    assert "<td>31.25</td>" in text
    assert "70 % of the oracle" in text
    assert [name(one["settings"]) for one in results] == re.findall("<h2>(folder.*?)</h2>", text)
    rows = [re.findall("<t[dh]>", row) for row in re.findall("<tr>(.*?)</tr>", text.partition("Means")[2])]
    assert len({len(cells) for cells in rows[:3]}) == 1  # a column that one setting lacks is left empty


def test_one_setting_needs_no_overview(tmp_path):
    pytest.importorskip("matplotlib")
    write_page(tmp_path / "e.html", [result("auto")])
    text = (tmp_path / "e.html").read_text()
    assert "Means" not in text
    assert "sigma auto" in text
    assert [file.name for file in tmp_path.iterdir()] == ["e.html"]
