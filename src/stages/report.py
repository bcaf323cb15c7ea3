"""Write the pages of one data set from what its studies have written, and the page to play with.

python src/stages/report.py cifar10
"""

from stage import check, run_stage

if __name__ == "__main__":
    check(__doc__)

from vaelab.report import compare, index, interpolate, latent_explore
from vaelab.runtime.errors import UserError
from vaelab.runtime.outputs import write_text
from vaelab.settings import load_settings

PAGES = {"compare": compare, "interpolate": interpolate, "latent_explore": latent_explore}
NOT_WHOLE = (OSError, ValueError, LookupError, TypeError, AssertionError)  # of files that are cut


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    folder = settings.report_dir
    texts = {}
    for study, its in PAGES.items():
        try:
            texts[study] = its.page(folder)
        except NOT_WHOLE as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(
                f"{folder / study} does not hold what {study} writes ({reason}); "
                f"`dvc repro -f {study}@{dataset}` writes it anew"
            ) from None
    page = index.page(settings)
    write_text(folder / "index.html", page)
    for study, text in texts.items():
        write_text(folder / f"{study}.md", text)


if __name__ == "__main__":
    run_stage(main, __doc__)
