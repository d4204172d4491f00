"""The page at ``/``: where to send requests, and what arrived so far."""

from html import escape

from gaugepost_simulator.knobs import REGIONS
from gaugepost_simulator.routes import ROUTES
from gaugepost_simulator.state import SimulatorState

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{text-align:left;padding:.2rem 1.5rem .2rem 0}"
    "code{background:#f3f3f3;padding:.1rem .3rem}@media(prefers-color-scheme:dark)"
    "{body{background:#1b1b1b;color:#ddd}code{background:#333}}"
)


def page(state: SimulatorState) -> str:
    """Return the HTML of the page."""
    effects = sorted(state.effects.by.items())
    requests = sorted(state.requests.items())
    urls = [(method, path) for method, path in ROUTES if "/eu/" in path and not path.endswith(".xml")]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        f"<title>CustomerGauge simulator</title><style>{_STYLE}</style></head><body>"
        "<h1>CustomerGauge simulator</h1>"
        "<p>This answers like CustomerGauge's HTTP APIs and keeps what it receives in memory. It sends nothing to"
        " other machines, and no person gets a survey. The page reloads every five seconds.</p>"
        f"<p>Regions: {', '.join(REGIONS)}; the paths below are those of <code>eu</code>. Default credentials are"
        " <code>eu-client</code>, <code>eu-secret</code> and <code>eu-key</code>. v4.1 paths also end in"
        " <code>.xml</code>. The control API is under <code>/_simulator/</code>.</p>"
        f"{_table(('Method', 'Path'), urls)}"
        f"<h2>Effects: {len(state.effects)}</h2>{_table(('Kind', 'Count'), effects)}"
        f"<h2>Requests</h2>{_table(('Endpoint and status', 'Count'), requests)}"
        "</body></html>\n"
    )


def _table(head: tuple[str, str], rows: list[tuple[str, str]] | list[tuple[str, int]]) -> str:
    if not rows:
        return "<p>None yet.</p>"
    lines = "".join(f"<tr><td>{escape(str(a))}</td><td>{escape(str(b))}</td></tr>" for a, b in rows)
    return f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>{lines}</table>"
