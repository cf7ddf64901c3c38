"""Writes ratios.json, which the page *How this book is checked* shows."""

import json
from pathlib import Path
from typing import Any


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Per group, the median time of "ours" over that of the peer it is named with; the same of errors, if given."""
    medians: dict[str, dict[str, float]] = {}
    for run in output_json["benchmarks"]:
        how = run["params"].get("how") or run["param"]
        medians.setdefault(run["group"], {})[how] = run["stats"]["median"]
        if "error" in run["extra_info"]:
            medians.setdefault(f"{run['group']}: excess error", {})[how] = run["extra_info"]["error"]
    rows = {
        f"{group}, against {peer}": f"{times['ours'] / times[peer]:.2g}"
        for group, times in medians.items()
        for peer in times.keys() - {"ours"}
    }
    heads = ["What, against what", "Our time (or error) over theirs"]
    shown = {"title": "Speed against peers", "heads": heads, "rows": rows}
    (Path(__file__).parent / "ratios.json").write_text(json.dumps(shown, indent=1) + "\n")
