"""Draw docs/img/heat.svg, the picture in README.md: the report's heat maps of the sample estate (`python -m docs.picture`)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pro.actions.demo import sample_folder
from pro.config import load
from pro.reports.standalone import heat_maps
from pro.workflow import policy_of, recommend
from tests.small import estate_in, fill

TARGET = Path(__file__).resolve().parent / "img" / "heat.svg"


def main() -> None:
    """Recommend on the sample estate as `pro demo` does, and draw."""
    with tempfile.TemporaryDirectory() as folder:
        estate, config = estate_in(sample_folder()), load(None)
        store = fill(Path(folder), estate)
        found = recommend(store, config, policy_of(config), now=estate.now)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(heat_maps(found.report), encoding="utf-8")


if __name__ == "__main__":
    main()
