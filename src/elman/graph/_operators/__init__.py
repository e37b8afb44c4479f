"""The operators a graph may hold, by their ONNX names: each a function of NumPy arrays."""

from elman.graph._operators import elementwise, picking, shapes, sums
from elman.graph._operators.registry import OPERATORS, Operator, check_attribute

__all__ = ["OPERATORS", "Operator", "check_attribute", "elementwise", "picking", "shapes", "sums"]
