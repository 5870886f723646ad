from dccdka.stacked.network import StackingError
from dccdka.stacked.training import compress_stacked

__all__ = ["StackingError", "compress_stacked"]
