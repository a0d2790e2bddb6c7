"""Draws docs/performance.png: telemetry by messages in flight, and rates over long round trips."""

from . import telemetry, windows
from .rows import OURS

SHOWN = (OURS, "raw", "chumicro-mqtt")  # over long round trips
COLOURS = {
    OURS: "tab:blue",
    "raw": "0.6",
    "chumicro-mqtt": "tab:orange",
    "umqtt.simple": "tab:red",
    "aiomqttc": "tab:purple",
}


def draw(rows, path):
    """Write the picture of `rows`, those of telemetry and of windows, to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    found = {row.what: row for row in rows}
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.4), dpi=100)
    _telemetry(left, found)
    _windows(right, found)
    for axes in (left, right):
        axes.grid(True, color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("messages in flight")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)


def _points(found, name, places):
    """(x, median) of `name` in the rows of `places`, {x: what}."""
    points = [(x, found[what]) for x, what in places.items() if what in found]
    return [(x, row.median(name)) for x, row in points if row.values.get(name)]


def _line(axes, points, **style):
    if points:
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, **style)


def _telemetry(axes, found):
    places = {flying: telemetry.what(flying) for flying in telemetry.FLIGHTS}
    for name in telemetry.RATED:
        style = {"color": COLOURS[name], "linestyle": "--" if name == "umqtt.simple" else "-"}
        label = f"{name} (one at a time)" if name == "umqtt.simple" else name
        _line(axes, _points(found, name, places), label=label, **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(telemetry.FLIGHTS, map(str, telemetry.FLIGHTS))
    axes.set_ylabel("messages a second")
    axes.set_title("QoS 1 telemetry over TLS, loopback", fontsize=10)


def _windows(axes, found):
    for trip, style in ((0.05, "-"), (0.3, "--")):
        places = {window: windows.what(trip, window) for window in windows.WINDOWS}
        for name in SHOWN:
            label = f"{name}, {trip * 1000:.0f} ms"
            points = _points(found, name, places)
            _line(axes, points, color=COLOURS[name], linestyle=style, label=label)
    axes.axhline(windows.GOAL, color="black", linewidth=0.8, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(windows.WINDOWS, map(str, windows.WINDOWS))
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("rate, of window ÷ round trip")
    axes.set_title(f"over long round trips; dotted: the goal, {windows.GOAL}", fontsize=10)
