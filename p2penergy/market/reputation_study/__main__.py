"""`python -m p2penergy.market.reputation_study --out DIR`: run the study, write figures and a table."""

from pathlib import Path

import click

from p2penergy.grid.neighbourhood import load_sample
from p2penergy.market.reputation_study.results import run, table
from p2penergy.score_rules import ScoreRules


@click.command()
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to fill."
)
@click.option(
    "--seeds", default=25, show_default=True, type=click.IntRange(1, 1000), help="Draws of bad households."
)
def main(out: Path, seeds: int) -> None:
    """Simulate good and bad households on the sample week, and attacks on their scores."""
    try:
        from p2penergy.market.reputation_study.figures import draw
    except ImportError:
        raise click.ClickException("the figures need matplotlib: pip install 'p2penergy[bench]'") from None
    rules = ScoreRules()
    study = run(load_sample(), rules, seeds)
    out.mkdir(parents=True, exist_ok=True)
    paths = draw(study, rules, out)
    numbers = out / "qscore-table.md"
    numbers.write_text(table(study, rules), encoding="utf-8")
    for path in (*paths, numbers):
        click.echo(path)


if __name__ == "__main__":
    main()
