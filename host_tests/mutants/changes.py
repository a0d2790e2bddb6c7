"""The changes that may be made to a Python file, each to one expression or statement."""

import ast
import copy

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitAnd: ast.BitOr}
_TOLD = ("logger", "log", "print", "say", "report")  # what these are told is for people


class Change:
    """One change of the text `source`. line: where; before, after: the changed piece of code."""

    def __init__(self, source, node, new):
        self.line = node.lineno
        self.after = ast.unparse(new)
        self._source = source
        self._node = node

    @property
    def before(self):
        return ast.get_source_segment(self._source, self._node)

    @property
    def text(self):
        """The changed source; None: it cannot be compiled."""
        node, data = self._node, self._source.encode()
        lines = data.split(b"\n")
        start = sum(len(line) + 1 for line in lines[: node.lineno - 1]) + node.col_offset
        end = sum(len(line) + 1 for line in lines[: node.end_lineno - 1]) + node.end_col_offset
        after = self.after.replace("\n", "\n" + " " * node.col_offset)
        if isinstance(node, ast.expr):
            after = f"({after})"
        text = (data[:start] + after.encode() + data[end:]).decode()
        try:
            compile(text, "changed", "exec")
        except (SyntaxError, ValueError):
            return None
        return text

    def __str__(self):
        return f"{' '.join(self.before.split())}  ->  {' '.join(self.after.split())}"


def changes(source):
    """All changes of a file's text, in its order."""
    return [Change(source, node, new) for node, new in _visit(ast.parse(source))]


def _visit(node):
    """Pairs (node, what takes its place) of what is inside `node`."""
    notes = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    for child in ast.iter_child_nodes(node):
        if child in notes or _is_text_for_people(child):
            continue
        yield from ((child, new) for new in _variants(child))
        yield from _visit(child)


def _is_text_for_people(node):
    """A docstring, an annotation, an error's text, a log line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return True
    node = node.value if isinstance(node, ast.Expr) else node
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return name in _TOLD
    return isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom))


def _variants(node):
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        new = copy.deepcopy(node)
        new.ops[0] = _COMPARISONS[type(node.ops[0])]()
        yield new
    elif isinstance(node, ast.BoolOp):
        new = copy.deepcopy(node)
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield new
        new = copy.deepcopy(node.values[0])
        yield new
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        new = copy.deepcopy(node)
        new.op = _OPERATORS[type(node.op)]()
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        else:
            yield ast.Constant(node.value + 1)
            yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Break, ast.Continue)) or _is_call(node):
        yield ast.Pass()


def _is_call(node):
    if not isinstance(node, ast.Expr):
        return False
    value = node.value.value if isinstance(node.value, ast.Await) else node.value
    return isinstance(value, ast.Call)
