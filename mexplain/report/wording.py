"""Sentences and HTML on methods, on checks of an explanation, on comparisons and on the scorecard."""

from collections import Counter
from collections.abc import Mapping

from markupsafe import Markup

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.check import CHECKS
from mexplain.attribution.registry import METHODS
from mexplain.attribution.score_tests import NULL_RATE
from mexplain.explain.block_game import block_game_sentence
from mexplain.explain.counterfactual import Flip
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.listing import listed
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.explain.trust import tied_blocks
from mexplain.face.facs import FACS
from mexplain.face_records import BlockGame
from mexplain.model.scorecard import Scorecard
from mexplain.records import BlockReport, Report, TrustEstimate, VariantReport
from mexplain.report.comparison import Comparison, Pair, most_divided, strongest
from mexplain.report.templating import render_markup
from mexplain.report.visuals.heatmap_overlay import Quantity, top_blocks
from mexplain.report.visuals.plots import percent

_MAX_UNITS = 3
_MIN_SHARE_GAP = 0.15
_MOST_GROUPS, _MOST_NAMES = 3, 3
_MOST_LISTED = 6


def method_choices() -> list[tuple[str, str]]:
    """Name and key of each method; a method that fails the randomisation test says so in its name."""
    return [(m.name + (" (fails a test)" if m.fails_randomisation else ""), m.key) for m in METHODS.values()]


def about_method(method: str, baseline: str, scorecard: Scorecard | None) -> Markup:
    """HTML: what a method measures, its score on known clips, its limits, and what the baseline is."""
    return render_markup(
        "mexplain.report",
        "about_method.html",
        method=METHODS[method],
        measured=measured(method, scorecard),
        baseline=BASELINES[baseline],
    )


def moment_choices(report: Report) -> list[tuple[str, int]]:
    """Description and number of each moment of a clip."""
    return [
        (f"{moment.kind}, {moment.onset_s:.2f} to {moment.offset_s:.2f} s (evidence {moment.score:.2f})", number)
        for number, moment in enumerate(report.moments)
    ]


def strongest_blocks(variant: VariantReport, quantity: Quantity, method: str) -> list[tuple[str, str]]:
    """Name and value of each of the strongest blocks, the strongest first.

    Values of attribution have a sign where the method has, and half of their 90 % interval where there is one.
    """
    sign = "+" if quantity == "attribution" and METHODS[method].signed else ""
    return [
        (block.name, f"{value:{sign}.3g}{_give_or_take(block, quantity, method)}")
        for block, value in top_blocks(variant, quantity, method)
    ]


def _give_or_take(block: BlockReport, quantity: Quantity, method: str) -> str:
    if quantity != "attribution" or method not in block.interval:
        return ""
    low, high = block.interval[method]
    return f" ± {(high - low) / 2:.2g}"


def presence(variant: VariantReport) -> Markup:
    """HTML: the probability that there is an expression at all, and which muscles moved."""
    muscles = []
    for unit, (right, left) in sorted(variant.units.items(), key=lambda item: -max(item[1])):
        if max(right, left) >= variant.unit_thresholds.get(unit, UNIT_THRESHOLD):
            both = min(right, left) >= 0.5 * max(right, left)
            side = "" if both else " on the right" if right > left else " on the left"
            muscles.append(f"{FACS[unit].name} (AU{unit}){side}")
    muscles = muscles[:_MAX_UNITS]
    return render_markup("mexplain.report", "presence.html", probability=percent(variant.presence), muscles=muscles)


def trust(variant: VariantReport, method: str, *, folded: bool = False) -> Markup:
    """HTML: what the checks of one variant's explanation found, each of them, and the numbers behind them.

    ``folded`` hides all but the first until it is asked for.
    """
    report = variant.trust[method]
    random_auc = sum(report.random_aucs) / len(report.random_aucs)
    numbers = [
        f"deletion {report.deletion_auc:.2f}, insertion {report.insertion_auc:.2f} (random order {random_auc:.2f})",
        f"single deletion {report.single_deletion.rank_correlation:+.2f}",
        f"infidelity {report.infidelity:.2f}",
    ]
    if report.attention is not None:
        numbers.append(f"attention against it {report.attention.rank_correlation:+.2f}")
    if report.max_sensitivity is not None:
        numbers.append(f"max-sensitivity {report.max_sensitivity:.2f}")
    game = variant.block_game
    on_sets = block_game_sentence(game) if game and game.method == method else ""
    sentences = [sentence for sentence in (trusted(report.trust), block_order(variant, method), on_sets) if sentence]
    return render_markup(
        "mexplain.report",
        "trust.html",
        trust=report,
        numbers=numbers,
        kinds=CHECKS,
        null_rate=percent(NULL_RATE),
        sentences=sentences,
        folded=folded,
    )


def trusted(estimate: TrustEstimate | None) -> str:
    """A sentence on how often explanations like one are right, as measured; empty where that is not known."""
    if estimate is None:
        return ""
    share, low, high = (f"{100 * value:.0f}" for value in (estimate.share, *estimate.interval))
    measured_on = f"{estimate.count} explanations of known clips"
    named = f"named the block that the network uses most ({low} to {high}), measured on {measured_on}."
    if estimate.tells:
        return f"Of 100 explanations like this one, {share} {named}"
    return f"Nothing tells whether this explanation is right. Of 100 by its method, {share} {named}"


def block_order(variant: VariantReport, method: str) -> str:
    """A sentence on which blocks are in order and which are tied; empty where scores have no intervals."""
    groups = tied_blocks(variant.blocks, method)
    if not groups:
        return ""
    if len(groups) == 1:
        return "If the same movement were filmed again, the order of the blocks could be another one: all are tied."
    parts = [_tied([block.name for block in group]) for group in groups[:_MOST_GROUPS]]
    left = sum(len(group) for group in groups[_MOST_GROUPS:])
    more = f", then {left} more" if left else ""
    return f"If the same movement were filmed again, this order would hold: {', then '.join(parts)}{more}."


def _tied(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{listed(names) if len(names) <= _MOST_NAMES else f'{len(names)} blocks'} (tied)"


def agreement(report: Report, method: str) -> Markup:
    """HTML: a sentence on whether the variants rest on the same blocks; empty for a report without variants."""
    agreements = report.agreement.get(method, {})
    if not agreements and not report.variants:
        return Markup()
    pairs = [
        f"{VARIANT_NAMES[first]} and {VARIANT_NAMES[second]} "
        f"agree{'' if pair.beyond_chance else ' no more than chance would'} ({pair.rank_correlation:+.2f})"
        for (first, second), pair in agreements.items()
    ]
    null_band = next((pair.null_band for pair in agreements.values()), None)
    return render_markup("mexplain.report", "agreement.html", pairs=pairs, null_band=null_band)


def measured(method: str, scorecard: Scorecard | None, variant: str = "10") -> str:
    """A sentence on how well a method tells what the network uses, and finds what is known to have moved."""
    scores = scorecard.scores.get(variant, {}) if scorecard else {}
    if scorecard is None or method not in scores:
        return "These weights come without a scorecard: how well this method does with them is not known."
    results = []
    for key, reference, text in (
        ("game_top", "motion", "it names the block that the answer owes most in {:.0%} (motion itself in {:.0%})"),
        ("pointing", "face", "points at what moved in {:.0%} (a plain face would in {:.0%})"),
        ("mass_ratio", "face", "puts {:.1f} times as much there as an even spread over the face would"),
        ("auroc", "face", "scores a moving block above a still one {:.0%} of the time (chance 50%)"),
    ):
        score, compared_with = scores[method].get(key), scores.get(reference, {}).get(key)
        if score is not None and compared_with is not None:
            results.append(text.format(score.mean, compared_with.mean).replace("%", " %"))
    return (
        f"Measured on {scorecard.clips} clips of {scorecard.people} unseen people, whose cause is known (10 blocks): "
        f"{'; '.join(results)}."
    )


def method_scores(method: str, scorecard: Scorecard | None, variant: str) -> list[tuple[str, str]]:
    """How a method did on known clips: for each score a kind ("yes", "no" or "": no verdict) and a sentence."""
    scores = (scorecard.scores.get(variant, {}) if scorecard else {}).get(method, {})
    told = [
        ("", text.format(f"{100 * score.mean:.0f}"))
        for key, text in (
            ("game_top", "Names the block used most in {} of 100 clips."),
            ("pointing", "Points at what moved in {} of 100."),
        )
        if (score := scores.get(key)) is not None
    ]
    checked = (scorecard.sanity.get(variant, {}) if scorecard else {}).get(method)
    fails = checked["fails_randomisation"] if checked else METHODS[method].fails_randomisation
    if fails:
        return [*told, ("no", "Fails the test with random weights: it shows the clip, not the network.")]
    return [*told, ("yes", "Passes the test with random weights.")] if checked else told


def methods_agree(tops: Mapping[str, str]) -> str:
    """A sentence on which block each method (a key) puts first; empty where there are none."""
    named = Counter(tops.values()).most_common()
    if not named:
        return ""
    if len(named) == 1:
        return f"All {len(tops)} methods put the same block first: {named[0][0]}."
    (first, count), *others = named
    rest = listed([f"{times} {block}" for block, times in others])
    return f"{count} of {len(tops)} methods put {first} first, {rest}."


def compared(comparison: Comparison) -> str:
    """A sentence or two on which blocks the variants rest on, and where they differ."""
    tops = {variant: strongest(comparison, variant)[0] for variant in comparison.shares}
    if len(set(tops.values())) == 1:
        sentence = f"All variants rest most on the same block: {next(iter(tops.values()))}."
    else:
        listed = "; ".join(f"{VARIANT_NAMES[variant]} on {block}" for variant, block in tops.items())
        sentence = f"They rest on different blocks: {listed}."
    if not comparison.comparable:
        answers = ", ".join(f"{VARIANT_NAMES[v]} “{target}”" for v, target in comparison.targets.items())
        return f"{sentence} They explain different answers ({answers}), so their blocks need not match."
    widest = max(comparison.pairs, key=lambda pair: _gap(comparison, pair), default=None)
    if widest is None or _gap(comparison, widest) < _MIN_SHARE_GAP:
        return sentence
    block = most_divided(comparison, widest)
    shares = [comparison.shares[variant][block] for variant in (widest.first, widest.second)]
    first, second = (f"{share:.0%}".replace("%", " %") for share in shares)
    return (
        f"{sentence} They differ most about {block}: {VARIANT_NAMES[widest.first]} finds {first} of its evidence "
        f"there, {VARIANT_NAMES[widest.second]} {second}."
    )


def _gap(comparison: Comparison, pair: Pair) -> float:
    block = most_divided(comparison, pair)
    return abs(comparison.shares[pair.first][block] - comparison.shares[pair.second][block])


def flipped(flip: Flip) -> str:
    """A sentence on which blocks must be held still until an answer changes, and how sure that is."""
    if flip.blocks is None:
        return f"No set of blocks that was tried takes “{flip.before}” away, not even all of them together."
    blocks = listed(flip.blocks)
    certainty = (
        "No smaller set does"
        if flip.exact
        else "Found by adding one block after the other, the best first; a smaller set may exist"
    )
    return f"Hold {blocks} still, and “{flip.before}” becomes “{flip.after}”. {certainty} ({flip.tried} sets tried)."


def minimal_sets_of(game: BlockGame) -> list[tuple[str, str]]:
    """What every minimal set of a kind does, and the smallest of them as a phrase."""
    return [
        (f"Held still, takes “{game.answer}” away", _sets(game.flipping, "no set of blocks")),
        (f"As long as it moves, keeps “{game.answer}”", _sets(game.sufficing, "no set of blocks")),
    ]


def additive(game: BlockGame) -> str:
    """A sentence on how far single blocks account for an answer, and on the two that interact most."""
    if game.additive_share is None:
        return ""
    pairs = [
        (value, one, other)
        for i, (one, row) in enumerate(zip(game.blocks, game.interactions, strict=True))
        for other, value in zip(game.blocks[i + 1 :], row[i + 1 :], strict=True)
    ]
    value, one, other = max(pairs, key=lambda pair: abs(pair[0]))
    together = "count more together" if value > 0 else "partly do the same"
    return (
        f"Single blocks account for {percent(game.additive_share)} of how the logit of “{game.target}” varies over all "
        f"sets of blocks. The strongest interaction is between {one} and {other}, which {together} "
        f"({value:+.2f} logits)."
    )


def _sets(sets: tuple[tuple[str, ...], ...], none: str) -> str:
    named = "; ".join(listed(chosen) or "nothing at all" for chosen in sets[:_MOST_LISTED]) or none
    left = len(sets) - _MOST_LISTED
    return f"{named}; and {left} more" if left > 0 else named
