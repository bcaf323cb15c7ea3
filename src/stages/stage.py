"""Imported first by every stage script: puts the checkout's own `src` before any installed copy, so
that an experiment that DVC runs in a folder of its own runs that folder's code.

    if __name__ == "__main__":
        check(__doc__)

before the script's other imports, which take seconds, looks at what may be refused without them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vaelab.runtime.stage import check as check
from vaelab.runtime.stage import log as log
from vaelab.runtime.stage import run_stage as run_stage
