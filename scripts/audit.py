"""Known vulnerabilities of the locked versions, by pip-audit, and every package's licence.

    python scripts/audit.py

pip-audit and pip-licenses run in environments of their own, which uv makes: the lock has neither.
Ends with 1 where a version has a known vulnerability, with 2 where that could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

TOOL = [sys.executable, "-m", "uv", "tool", "run"]
AUDIT = [*TOOL, "pip-audit", "--progress-spinner=off", "--format=json", "--disable-pip"]
LOCK = ["--require-hashes", "--requirement=requirements.lock"]
LICENCES = [*TOOL, "pip-licenses", f"--python={sys.executable}", "--format=json"]
FREE = ("MIT", "BSD", "Apache", "PSF", "Python Software", "ISC", "MPL", "Mozilla", "Zope", "Public")


def main() -> int:
    listed = subprocess.run(LICENCES, stdout=subprocess.PIPE, text=True, check=False)
    if listed.returncode == 0:
        sys.stdout.write("\n".join(licences(json.loads(listed.stdout))) + "\n")
    answer = subprocess.run([*AUDIT, *LOCK], capture_output=True, text=True, check=False)
    try:
        lines, status = vulnerabilities(json.loads(answer.stdout)["dependencies"])
    except (ValueError, LookupError):
        reason = (answer.stderr.strip() or "no answer").splitlines()[-1]
        lines, status = [f"Vulnerabilities could not be looked up: {reason}"], 2
    sys.stdout.write("\n".join(lines) + "\n")
    return status or 2 * (listed.returncode != 0)


def licences(packages: Sequence[Mapping[str, str]]) -> list[str]:
    """How many are free for any use; and by name, those whose terms are to be read."""
    others = [each for each in packages if not any(word in each["License"] for word in FREE)]
    return [
        f"{len(packages)} packages, {len(packages) - len(others)} of them under MIT, BSD, Apache, "
        "MPL or the like. The others:",
        *(f"  {each['Name']} {each['Version']}: {each['License']}" for each in others),
    ]


def vulnerabilities(packages: Sequence[Mapping[str, Any]]) -> tuple[list[str], int]:
    """Lines and the status. A package that pip-audit could not look up has a `skip_reason`."""
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    found = [
        f"  {each['name']} {each['version']}: {flaw['id']}, mended in "
        f"{' or '.join(flaw['fix_versions']) or 'no version yet'}"
        for each in packages
        for flaw in each.get("vulns", [])
    ]
    lines = [
        f"Known vulnerabilities of {len(packages) - len(unknown)} locked versions: {len(found)}"
    ]
    lines += found
    if unknown:
        lines.append(
            f"{len(unknown)} packages could not be looked up ({', '.join(unknown[:3])}, …): the "
            "package index here has no list of vulnerabilities; try where pypi.org answers"
        )
    return lines, 1 if found else 2 * bool(unknown)


if __name__ == "__main__":
    raise SystemExit(main())
