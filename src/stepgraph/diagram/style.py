"""Style: the look of a drawing, as CSS that a page can override token by token."""

from __future__ import annotations

# Light and dark; every text has a contrast of at least 4.5 to 1 on what it stands on.
_TOKENS = {
    "canvas": ("#F6F7F9", "#0D1015"),
    "surface": ("#FFFFFF", "#14181F"),
    "line": ("#C3C9D3", "#39434F"),
    "edge": ("#6B7686", "#8691A1"),
    "text": ("#14181F", "#E8ECF2"),
    "text-3": ("#5F6979", "#8E99A8"),
    "accent": ("#3350D0", "#93A8FF"),
    "accent-tint": ("#E8ECFF", "#1C2547"),
    "callback": ("#3350D0", "#93A8FF"),
    "callback-tint": ("#EEF1FF", "#1A2140"),
    "timer": ("#0A6264", "#66D9D4"),
    "timer-tint": ("#DCF2F1", "#0E2C2D"),
    "timer-line": ("#148A8C", "#2FAFAD"),
    "join": ("#575069", "#C0B8D6"),
    "join-tint": ("#EDEBF3", "#272334"),
    "done": ("#258F54", "#3AB574"),
}
_RULES = (
    (".sg-canvas", "fill:@canvas"),
    ("text", "font-family:Inter,ui-sans-serif,system-ui,-apple-system,'Segoe UI',sans-serif"),
    (".sg-box", "fill:@surface;stroke:@line;stroke-width:1.25"),
    (".sg-name", "fill:@text;font-size:13px;font-weight:600"),
    (
        ".sg-step-name",
        "fill:@text-3;font-size:11px;font-family:'JetBrains Mono',ui-monospace,Menlo,monospace",
    ),
    (".sg-ring", "fill:none;stroke:@done;stroke-width:1.25"),
    (".sg-end .sg-box", "stroke:@done"),
    (".sg-unreachable .sg-box", "stroke:@text-3;stroke-dasharray:4 3"),
    (".sg-unreachable .sg-name", "fill:@text-3"),
    (".sg-line", "fill:none;stroke:@edge;stroke-width:1.5;stroke-linecap:round"),
    (".sg-head,.sg-dot", "fill:@edge;stroke:none"),
    (".sg-mark", "fill:@surface;stroke:@edge;stroke-width:1.5"),
    (".sg-label", "font-size:11px;font-weight:500"),
    (".sg-pill", "stroke-width:1"),
    (".sg-callback .sg-line,.sg-callback .sg-mark", "stroke:@callback"),
    (".sg-callback .sg-head", "fill:@callback"),
    (".sg-callback .sg-pill", "fill:@callback-tint;stroke:@callback"),
    (".sg-callback .sg-label", "fill:@callback"),
    (".sg-timeout .sg-line", "stroke:@timer-line;stroke-dasharray:5 4"),
    (".sg-timeout .sg-head", "fill:@timer-line"),
    (".sg-timeout .sg-pill", "fill:@timer-tint;stroke:@timer-line"),
    (".sg-timeout .sg-label", "fill:@timer"),
    (".sg-clock", "fill:none;stroke:@timer;stroke-width:1.2;stroke-linecap:round"),
    (".sg-join .sg-line,.sg-join .sg-mark", "stroke:@join;stroke-width:2.25"),
    (".sg-join .sg-head", "fill:@join"),
    (".sg-join .sg-pill", "fill:@join-tint;stroke:@join"),
    (".sg-join .sg-label", "fill:@join"),
    (".sg-visited .sg-line", "stroke-width:2.75"),
    (".sg-visited .sg-box", "stroke:@accent"),
    (".sg-current .sg-box", "fill:@accent-tint;stroke:@accent;stroke-width:2"),
)


def diagram_css() -> str:
    """Return the style sheet of drawings.

    Each colour is `--stepgraph-<token>` if the page defines it, else ours, light or dark as the
    reader's system is. The plain colour before it is for programs that know no variables. The
    classes `sg-current` and `sg-visited` are for a page to put on statuses and edges.
    """
    scope = ".stepgraph-diagram"
    lines = [f"{scope}{{{_variables(0)}}}"]
    lines.append(f"@media (prefers-color-scheme:dark){{{scope}{{{_variables(1)}}}}}")
    for selectors, body in _RULES:
        where = ",".join(f"{scope} {selector}" for selector in selectors.split(","))
        lines.append(f"{where}{{{_declarations(body)}}}")
    return "\n".join(lines)


def _variables(place: int) -> str:
    return ";".join(f"--sg-{name}:{colours[place]}" for name, colours in _TOKENS.items())


def _declarations(body: str) -> str:
    written: list[str] = []
    for declaration in body.split(";"):
        name, _, value = declaration.partition(":@")
        if value:
            written.append(f"{name}:{_TOKENS[value][0]}")
            written.append(f"{name}:var(--stepgraph-{value},var(--sg-{value}))")
        else:
            written.append(declaration)
    return ";".join(written)
