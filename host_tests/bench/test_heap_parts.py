"""tools.bench.heap_parts: modules in the order of their imports, and the map of the heap."""

from tools.bench import heap_parts
from tools.files import ROOT

MAP = """\
qstr pool: n_pool=1, n_qstr=5, n_str_data_bytes=20, n_total_bytes=32
GC memory layout; from 5602614bec80:
00000000: h=hBBLh=S.
00000800: ================================================================
       (3 lines all free)
00002800: ..D.............
"""


def test_each_module_comes_behind_what_it_imports():
    names = ["iothub.supervisor", "iothub", "iothub.compat", "iothub.errors", "iothub.future"]
    order = heap_parts.in_order(names, ROOT / "firmware")
    assert sorted(order) == sorted(names)
    for first, second in (("errors", "compat"), ("future", "compat"), ("compat", "supervisor")):
        assert order.index(f"iothub.{first}") < order.index(f"iothub.{second}")


def test_kinds_are_counted_in_blocks_and_names_apart():
    found = heap_parts.kinds(MAP.splitlines())
    code = 5 * 32  # h, with what continues it
    assert found == {"h": code - 32, "names": 32, "B": 64, "L": 32, "S": 32 * 65, "D": 32}


def test_map_with_letters_for_names_is_read_as_well():
    found = heap_parts.kinds(MAP.replace("hBB", "Qqh").splitlines())
    assert found["names"] == 32
    assert found["h"] == 5 * 32
