"""Write the pages of one data set from what its studies have written.

python src/stages/report.py cifar10
"""

from stage import run_stage
from vaelab.report import compare, interpolate, latent_explore
from vaelab.runtime.outputs import write_text
from vaelab.settings import load_settings

PAGES = {"compare": compare, "interpolate": interpolate, "latent_explore": latent_explore}


def main(dataset: str) -> None:
    folder = load_settings().of(dataset).report_dir
    for study, its in PAGES.items():
        if (folder / study).is_dir():
            write_text(folder / f"{study}.md", its.page(folder))


if __name__ == "__main__":
    run_stage(main, __doc__)
