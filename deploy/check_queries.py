#!/usr/bin/env python3
"""Checks that every query of the dashboard and of the alerts names series, labels and label values that a server has.

    deploy/check_queries.py METRICS    # a file with the answer of /metrics
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
# Set by Prometheus with each scrape.
OF_THE_SCRAPE = {"up", "ALERTS"}
LABELS_OF_THE_SCRAPE = {"instance", "job"}
SERIES = re.compile(r"\b([a-z_]+(?:_[a-z]+)+|up)(\{[^}]*\})?")
WORDS = {"histogram_quantile", "label_values"}


def exported(text):
    """The labels of each series, and the values of each label."""
    series = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"([a-z_]+)(?:\{(.*)\})? ", line).groups()
            values = series.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels or ""):
                values.setdefault(label, set()).add(value)
    return series


def queries():
    dashboard = json.loads((HERE / "grafana/backpropd.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"dashboard, {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"dashboard, ${variable['name']}", variable["query"]["query"]
    rules = (HERE / "prometheus/alerts.yml").read_text()
    for alert in re.split(r"- alert: ", rules)[1:]:
        name, rest = alert.split("\n", 1)
        expr = re.search(r"expr:(.*?)\n +(?:for|labels):", rest, re.S).group(1)
        yield f"alert {name}", expr


def faults(where, query, series):
    without_text = re.sub(r'"[^"]*"', '""', re.sub(r"\[[^]]*\]", "", query))
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    names = [name for name, _ in SERIES.findall(without_text) if name not in WORDS]
    labels_of_query = {label.strip() for group in grouped for label in group.split(",")}
    for name in names:
        if name in OF_THE_SCRAPE or name in labels_of_query:
            continue
        if name not in series and "{" in query and name in {l for v in series.values() for l in v}:
            continue
        if name not in series:
            yield f"{where}: there is no series {name}"
            continue
        matchers = re.search(re.escape(name) + r"\{([^}]*)\}", query)
        for label, operator, pattern in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers.group(1) if matchers else ""):
            if label in LABELS_OF_THE_SCRAPE:
                continue
            values = series[name].get(label)
            if values is None:
                yield f"{where}: {name} has no label {label}"
            for alternative in pattern.split("|") if operator == "=~" else [pattern] if operator == "=" else []:
                if values is not None and not any(re.fullmatch(alternative, value) for value in values):
                    yield f"{where}: no {label} of {name} is {alternative!r}"
        for label in labels_of_query - LABELS_OF_THE_SCRAPE - {"le"}:
            if label not in series[name]:
                yield f"{where}: {name} has no label {label}"


def main():
    series = exported(pathlib.Path(sys.argv[1]).read_text())
    found, count = [], 0
    for where, query in queries():
        count += 1
        found += faults(where, query, series)
    if found or count < 30:
        sys.exit("\n".join(["FAIL", *found, f"{count} queries"]))
    print(f"ok   {count} queries of dashboard and alerts name what the server exports")


main()
