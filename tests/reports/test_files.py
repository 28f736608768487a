"""CSV, workbook and JSON: what goes out comes back, and nothing in it is a formula or a link."""

from __future__ import annotations

import csv
import json as plain_json
import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pro.core import text
from pro.reports import json, tables, xlsx
from tests.conftest import HOSTILE_NAMES
from tests.reports.fixtures import make_report

if TYPE_CHECKING:
    from pathlib import Path

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report = make_report(HOSTILE_NAMES)
    tables.write_csv(report, folder / "csv")
    xlsx.write(report, folder / "report.xlsx")
    return folder


def test_four_files_answer_four_questions(folder: Path) -> None:
    assert sorted(p.name for p in (folder / "csv").iterdir()) == ["hosts.csv", "hotspots.csv", "plan.csv", "vms.csv"]


def test_no_cell_of_a_csv_begins_like_a_formula(folder: Path) -> None:
    for path in (folder / "csv").iterdir():
        for row in read(path):
            assert not any(value.startswith(FORMULA) for value in row.values()), path.name


def test_names_come_back_from_csv_exactly(folder: Path) -> None:
    report = make_report(HOSTILE_NAMES)
    names = {row["vm_id"]: text.uncell(row["vm"]) for row in read(folder / "csv" / "vms.csv")}
    assert names == dict(report.vm_label)


def test_every_vm_that_moves_stands_elsewhere_afterwards(folder: Path) -> None:
    moved = {row["vm_id"] for row in read(folder / "csv" / "vms.csv") if row["moves"] == "true"}
    planned = {row["vm_id"] for row in read(folder / "csv" / "plan.csv") if row["kind"] == "live"}
    assert moved == planned


def test_hosts_keep_count_of_their_vms(folder: Path) -> None:
    rows = read(folder / "csv" / "hosts.csv")
    assert sum(int(r["vms_before"]) for r in rows) == sum(int(r["vms_after"]) for r in rows) == 48


def test_what_is_blocked_is_in_the_plan_file(folder: Path) -> None:
    blocked = [r for r in read(folder / "csv" / "plan.csv") if r["kind"] == "blocked"]
    assert len(blocked) == 1
    assert blocked[0]["wave"] == ""


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30),
        min_size=1,
        max_size=8,
    )
)
def test_any_name_comes_back_from_csv(tmp_path: Path, names: list[str]) -> None:
    report = make_report(names)
    written = {p.name: p for p in tables.write_csv(report, tmp_path / "csv")}
    rows = read(written["vms.csv"])
    assert {r["vm_id"]: text.uncell(r["vm"]) for r in rows} == dict(report.vm_label)
    assert not any(value.startswith(FORMULA) for row in rows for value in row.values())


def test_the_workbook_holds_no_formula_and_no_link(folder: Path) -> None:
    with zipfile.ZipFile(folder / "report.xlsx") as book:
        for name in book.namelist():
            content = book.read(name).decode("utf-8", "replace")
            if name.startswith("xl/worksheets/"):
                assert "<f>" not in content, name
                assert "<f " not in content, name
                assert "hyperlink" not in content, name
            assert 'TargetMode="External"' not in content, name


def test_the_workbook_has_a_sheet_per_question_with_filters_and_a_frozen_head(folder: Path) -> None:
    book = openpyxl.load_workbook(folder / "report.xlsx")
    assert book.sheetnames == ["Summary", "Hotspots", "Plan", "Hosts", "Vms"]
    for sheet in book.worksheets[1:]:
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref is not None
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    peak = next(c for c in book["Hosts"][1] if c.value == "CPU peak")
    assert book["Hosts"].cell(4, peak.column).number_format == "0 %"


def test_the_workbook_and_the_csv_say_the_same(folder: Path) -> None:
    sheet = openpyxl.load_workbook(folder / "report.xlsx")["Plan"]
    rows = read(folder / "csv" / "plan.csv")
    assert sheet.max_row == len(rows) + 1
    ids = [sheet.cell(1, c).value for c in range(1, sheet.max_column + 1)].index("VM id") + 1
    assert [sheet.cell(r, ids).value for r in range(2, sheet.max_row + 1)] == [r["vm_id"] for r in rows]


def test_the_json_says_what_the_report_says() -> None:
    report = make_report(HOSTILE_NAMES)
    found = plain_json.loads(json.dumps(report))
    assert found["schema"] == "report/1"
    assert found["names"]["vms"] == dict(report.vm_label)
    assert len(found["plan"]["waves"]) == len(report.plan.waves)
    assert sum(len(w) for w in found["plan"]["waves"]) == len(report.plan.migrations)
    assert [h["host"] for h in found["hotspots"]] == [h.host for h in (*report.hotspots, *report.short)]
    assert found["placement"]["host_of"][report.fleet.vms[12]] == report.fleet.hosts[0]
    assert found["data"]["readiness"]["schema"] == "readiness/1"


def test_an_empty_plan_makes_files_too(tmp_path: Path) -> None:
    report = make_report(moves=())
    written = {p.name: p for p in tables.write_csv(report, tmp_path)}
    xlsx.write(report, tmp_path / "r.xlsx")
    assert read(written["plan.csv"]) == []
    assert plain_json.loads(json.dumps(report))["plan"]["waves"] == []
