from .faults import FAULTS as FAULTS
from .process import Sandbox as Sandbox
from .process import run as run
from .process import serve as serve
from .rows import Item as Item
from .rows import history as history
from .rows import page_bytes as page_bytes
