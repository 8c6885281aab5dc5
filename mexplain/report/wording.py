"""What the hub says in words of a method, of how far an explanation can be trusted, and of the scorecard."""

from html import escape

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.registry import METHODS
from mexplain.explain.counterfactual import Flip
from mexplain.model.scorecard import Scorecard
from mexplain.records import Report, VariantReport
from mexplain.report.comparison import Comparison, Pair, most_divided, strongest
from mexplain.report.visuals.plots import VARIANT_NAMES, percent
from mexplain.simulation.action_units import ACTION_UNITS

_MOST_UNITS, _UNIT_SEEN = 3, 0.4
_WORTH_A_WORD = 0.15


def method_choices() -> list[tuple[str, str]]:
    """Return each method's name and key; a method that fails the randomisation test says so in its name."""
    return [(m.name + (" (fails a test)" if m.fails_randomisation else ""), m.key) for m in METHODS.values()]


def about_method(method: str, baseline: str, scorecard: Scorecard | None) -> str:
    """Return what a method measures, how it did on known clips, what it cannot tell, what the clip is compared with."""
    chosen, against = METHODS[method], BASELINES[baseline]
    warning = (
        "<p class='note'>With random weights in the network, this method's picture stays much the same: it shows the "
        "clip, not the network. Do not take it for an explanation.</p>"
        if chosen.fails_randomisation
        else ""
    )
    return (
        f"{warning}<details><summary>About {escape(chosen.name)}, and how good it is</summary>"
        f"<p><strong>{escape(chosen.name)}.</strong> {escape(chosen.says)} <em>Limits:</em> "
        f"{escape(chosen.limits)}</p><p>{escape(measured(method, scorecard))}</p>"
        f"<p><strong>Compared with: {escape(against.name.lower())}.</strong> {escape(against.says)}</p></details>"
    )


def moment_choices(report: Report) -> list[tuple[str, int]]:
    """Return each moment of a clip in words, and its number."""
    return [
        (f"{moment.kind}, {moment.onset_s:.2f} to {moment.offset_s:.2f} s (evidence {moment.score:.2f})", number)
        for number, moment in enumerate(report.moments)
    ]


def presence(variant: VariantReport) -> str:
    """Return how sure a variant is that there is an expression at all, and which muscles it saw move."""
    seen = sorted(variant.units.items(), key=lambda item: -max(item[1]))
    named = []
    for unit, (right, left) in seen[:_MOST_UNITS]:
        if max(right, left) < _UNIT_SEEN:
            break
        side = "" if min(right, left) >= 0.5 * max(right, left) else " on the right" if right > left else " on the left"
        named.append(f"{ACTION_UNITS[unit].name} (AU{unit}){side}")
    muscles = f"Saw move: {escape(', '.join(named))}." if named else "Saw no muscle move for certain."
    return f"<p class='presence'>An expression is there: {escape(percent(variant.presence))}. {muscles}</p>"


def trust(variant: VariantReport, method: str) -> str:
    """Return what one variant's explanation was put to, and what came of it."""
    found = variant.trust[method]
    rows = "".join(f"<li class='{'yes' if check.passed else 'no'}'>{escape(check.says)}</li>" for check in found.checks)
    numbers = [
        f"deletion {found.deletion_auc:.2f}, insertion {found.insertion_auc:.2f} (random order "
        f"{sum(found.random_aucs) / len(found.random_aucs):.2f})",
        f"single deletion {found.single_deletion.rank_correlation:+.2f}",
        f"infidelity {found.infidelity:.2f}",
    ]
    if found.attention is not None:
        numbers.append(f"attention against it {found.attention.rank_correlation:+.2f}")
    if found.max_sensitivity is not None:
        numbers.append(f"max-sensitivity {found.max_sensitivity:.2f}")
    return (
        f"<p class='trust'>{escape(found.sentence)}</p><ul class='checks'>{rows}</ul>"
        f"<p class='numbers'>{escape(' · '.join(numbers))}</p>"
    )


def agreement(report: Report, method: str) -> str:
    """Return in a sentence whether the variants rest on the same blocks."""
    pairs = report.agreement.get(method, {})
    if not pairs:
        answers = {variant.target for variant in report.variants}
        return "<p>The variants explain different answers, so their blocks are not compared.</p>" if answers else ""
    told = [
        f"{VARIANT_NAMES[one]} and {VARIANT_NAMES[other]} "
        f"agree{'' if found.beyond_chance else ' no more than chance would'} "
        f"({found.rank_correlation:+.2f})"
        for (one, other), found in pairs.items()
    ]
    low, high = next(iter(pairs.values())).null_band
    return (
        f"<p>On which of the ten blocks matter, {'; '.join(told)}. Rank correlations; by chance, 95 % lie between "
        f"{low:+.2f} and {high:+.2f}.</p>"
    )


def measured(method: str, scorecard: Scorecard | None, variant: str = "10") -> str:
    """Return how well a method finds what is known to have moved, in a sentence."""
    scores = scorecard.scores.get(variant, {}) if scorecard else {}
    if scorecard is None or method not in scores:
        return "These weights come without a scorecard: how well this method does with them is not known."
    told = []
    for key, text in (
        ("pointing", "it points at what moved in {:.0%} of them (a plain face would in {:.0%})"),
        ("mass_ratio", "puts {:.1f} times as much there as an even spread over the face would"),
        ("auroc", "scores a moving block above a still one {:.0%} of the time (chance 50%)"),
    ):
        found, bare = scores[method][key], scores.get("face", {}).get(key)
        if found is not None and bare is not None:
            told.append(text.format(found.mean, bare.mean).replace("%", " %"))
    return (
        f"Measured on {scorecard.clips} clips of {scorecard.people} unseen people, whose cause is known (10 blocks): "
        f"{'; '.join(told)}."
    )


def compared(comparison: Comparison) -> str:
    """Return in a sentence or two on which blocks the variants rest, and where they part."""
    tops = {variant: strongest(comparison, variant)[0] for variant in comparison.shares}
    if len(set(tops.values())) == 1:
        first = f"All variants rest most on the same block: {next(iter(tops.values()))}."
    else:
        told = "; ".join(f"{VARIANT_NAMES[variant]} on {block}" for variant, block in tops.items())
        first = f"They rest on different blocks: {told}."
    if not comparison.comparable:
        answers = ", ".join(f"{VARIANT_NAMES[v]} “{target}”" for v, target in comparison.targets.items())
        return f"{first} They explain different answers ({answers}), so their blocks need not match."
    widest = max(comparison.pairs, key=lambda pair: _gap(comparison, pair), default=None)
    if widest is None or _gap(comparison, widest) < _WORTH_A_WORD:
        return first
    block = most_divided(comparison, widest)
    shares = [comparison.shares[variant][block] for variant in (widest.one, widest.other)]
    one, other = (f"{share:.0%}".replace("%", " %") for share in shares)
    return (
        f"{first} They differ most about {block}: {VARIANT_NAMES[widest.one]} finds {one} of its evidence there, "
        f"{VARIANT_NAMES[widest.other]} {other}."
    )


def _gap(comparison: Comparison, pair: Pair) -> float:
    block = most_divided(comparison, pair)
    return abs(comparison.shares[pair.one][block] - comparison.shares[pair.other][block])


def flipped(found: Flip) -> str:
    """Return in a sentence which blocks must be held still until an answer changes, and how sure that is."""
    if found.blocks is None:
        return f"No set of blocks that was tried takes “{found.before}” away, not even all of them together."
    what = " and ".join([", ".join(found.blocks[:-1]), found.blocks[-1]] if len(found.blocks) > 1 else found.blocks)
    how = (
        "No smaller set does"
        if found.exact
        else "Found by adding one block after the other, the best first; a smaller set may exist"
    )
    return f"Hold {what} still, and “{found.before}” becomes “{found.after}”. {how} ({found.tried} sets tried)."
