"""Sentences and HTML on methods, on checks of an explanation, on comparisons and on the scorecard."""

from collections import Counter
from collections.abc import Mapping

from markupsafe import Markup

from mexplain.attribution.baselines import BASELINES
from mexplain.attribution.check import CHECKS
from mexplain.attribution.registry import METHODS
from mexplain.attribution.score_tests import NULL_RATE
from mexplain.explain.block_game import block_game_sentence
from mexplain.explain.decision import VARIANT_NAMES
from mexplain.explain.movements import UNIT_THRESHOLD
from mexplain.explain.trust import tied_blocks
from mexplain.face.facs import FACS
from mexplain.language.listing import joined, listed
from mexplain.language.message import Message, Written, percent, text
from mexplain.model.scorecard import Scorecard
from mexplain.records import BlockReport, Report, TrustEstimate, VariantReport
from mexplain.report.comparison import Comparison, Pair, most_divided, strongest
from mexplain.report.templating import render_markup
from mexplain.report.visuals.heatmap_overlay import Quantity, top_blocks

_MAX_UNITS = 3
_MIN_SHARE_GAP = 0.15
_MOST_GROUPS, _MOST_NAMES = 3, 3


def method_choices() -> list[tuple[str, str]]:
    """Name and key of each method; a method that fails the randomisation test says so in its name."""
    return [
        (text("{method} (fails a test)", method=m.name) if m.fails_randomisation else m.name, m.key)
        for m in METHODS.values()
    ]


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
    """Description and number of each moment of a clip, counted from 1."""
    return [
        (
            text(
                "{kind}, {onset:.2f} to {offset:.2f} s (evidence {score:.2f})",
                kind=Message(moment.kind),
                onset=moment.onset_s,
                offset=moment.offset_s,
                score=moment.score,
            ),
            number,
        )
        for number, moment in enumerate(report.moments, 1)
    ]


def strongest_blocks(variant: VariantReport, quantity: Quantity, method: str) -> list[tuple[str, str]]:
    """Name and value of each of the strongest blocks, the strongest first.

    Values of attribution have a sign where the method has, and half of their 90 % interval where there is one.
    """
    sign = "+" if quantity == "attribution" and METHODS[method].signed else ""
    return [
        (block.name, Written(f"{value:{sign}.3g}{_give_or_take(block, quantity, method)}"))
        for block, value in top_blocks(variant, quantity, method)
    ]


def _give_or_take(block: BlockReport, quantity: Quantity, method: str) -> str:
    if quantity != "attribution" or method not in block.interval:
        return ""
    low, high = block.interval[method]
    return f" ± {(high - low) / 2:.2g}"


def presence(variant: VariantReport) -> Markup:
    """HTML: the probability that there is an expression at all, and which muscles moved."""
    muscles: list[str] = []
    for unit, (right, left) in sorted(variant.units.items(), key=lambda item: -max(item[1])):
        if max(right, left) >= variant.unit_thresholds.get(unit, UNIT_THRESHOLD):
            both = min(right, left) >= 0.5 * max(right, left)
            if both:
                muscles.append(text("{muscle} (AU{unit})", muscle=FACS[unit].name, unit=unit))
            elif right > left:
                muscles.append(text("{muscle} (AU{unit}) on the right", muscle=FACS[unit].name, unit=unit))
            else:
                muscles.append(text("{muscle} (AU{unit}) on the left", muscle=FACS[unit].name, unit=unit))
    muscles = muscles[:_MAX_UNITS]
    return render_markup("mexplain.report", "presence.html", probability=percent(variant.presence), muscles=muscles)


def trust(variant: VariantReport, method: str, *, folded: bool = False) -> Markup:
    """HTML: what the checks of one variant's explanation found, each of them, and the numbers behind them.

    ``folded`` hides all but the first until it is asked for.
    """
    report = variant.trust[method]
    random_auc = sum(report.random_aucs) / len(report.random_aucs)
    numbers = [
        text(
            "deletion {deletion:.2f}, insertion {insertion:.2f} (random order {random:.2f})",
            deletion=report.deletion_auc,
            insertion=report.insertion_auc,
            random=random_auc,
        ),
        text("single deletion {value:+.2f}", value=report.single_deletion.rank_correlation),
        text("infidelity {value:.2f}", value=report.infidelity),
    ]
    if report.attention is not None:
        numbers.append(text("attention against it {value:+.2f}", value=report.attention.rank_correlation))
    if report.max_sensitivity is not None:
        numbers.append(text("max-sensitivity {value:.2f}", value=report.max_sensitivity))
    game = variant.block_game
    on_sets = block_game_sentence(game) if game and game.method == method else ""
    told = (trusted(report.trust), block_order(variant, method), on_sets, report.summary)
    return render_markup(
        "mexplain.report",
        "trust.html",
        trust=report,
        numbers=numbers,
        kinds=CHECKS,
        null_rate=percent(NULL_RATE),
        sentences=[sentence for sentence in told if sentence],
        folded=folded,
    )


def trusted(estimate: TrustEstimate | None) -> str:
    """A sentence on how often explanations like one are right, as measured; empty where that is not known."""
    if estimate is None:
        return ""
    share, low, high = (100 * value for value in (estimate.share, *estimate.interval))
    values = {"share": share, "low": low, "high": high, "count": estimate.count}
    if estimate.tells:
        return text(
            "Of 100 explanations like this one, {share:.0f} named the block that the network uses most ({low:.0f} to "
            "{high:.0f}), measured on {count} explanations of known clips.",
            **values,
        )
    return text(
        "Nothing tells whether this explanation is right. Of 100 by its method, {share:.0f} named the block that the "
        "network uses most ({low:.0f} to {high:.0f}), measured on {count} explanations of known clips.",
        **values,
    )


def block_order(variant: VariantReport, method: str) -> str:
    """A sentence on which blocks are in order and which are tied; empty where scores have no intervals."""
    groups = tied_blocks(variant.blocks, method)
    if not groups:
        return ""
    if len(groups) == 1:
        return text(
            "If the same movement were filmed again, the order of the blocks could be another one: all are tied."
        )
    parts = [_tied([block.name for block in group]) for group in groups[:_MOST_GROUPS]]
    left = sum(len(group) for group in groups[_MOST_GROUPS:])
    if left:
        parts.append(text("{count} more", count=left))
    order = joined(parts, text(", then "))
    return text("If the same movement were filmed again, this order would hold: {order}.", order=order)


def _tied(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    blocks = listed(names) if len(names) <= _MOST_NAMES else text("{count} blocks", count=len(names))
    return text("{blocks} (tied)", blocks=blocks)


def agreement(report: Report, method: str) -> Markup:
    """HTML: a sentence on whether the variants rest on the same blocks; empty for a report without variants."""
    agreements = report.agreement.get(method, {})
    if not agreements and not report.variants:
        return Markup()
    pairs = [
        _agree(pair.beyond_chance, VARIANT_NAMES[first], VARIANT_NAMES[second], pair.rank_correlation)
        for (first, second), pair in agreements.items()
    ]
    null_band = next((pair.null_band for pair in agreements.values()), None)
    return render_markup("mexplain.report", "agreement.html", pairs=pairs, null_band=null_band)


def _agree(beyond_chance: bool, first: str, second: str, value: float) -> str:
    if beyond_chance:
        return text("{first} and {second} agree ({value:+.2f})", first=first, second=second, value=value)
    unlike = text("{first} and {second} agree no more than chance would ({value:+.2f})")
    return text(unlike, first=first, second=second, value=value)


def measured(method: str, scorecard: Scorecard | None, variant: str = "10") -> str:
    """A sentence on how well a method tells what the network uses, and finds what is known to have moved."""
    scores = scorecard.scores.get(variant, {}) if scorecard else {}
    if scorecard is None or method not in scores:
        return text("These weights come without a scorecard: how well this method does with them is not known.")
    results = []
    for key, reference, phrase in (
        (
            "game_top",
            "motion",
            text("it names the block that the answer owes most in {score} (motion itself in {other})"),
        ),
        ("pointing", "face", text("points at what moved in {score} (a plain face would in {other})")),
        ("mass_ratio", "face", text("puts {score:.1f} times as much there as an even spread over the face would")),
        ("auroc", "face", text("scores a moving block above a still one {score} of the time (chance 50 %)")),
    ):
        score, compared_with = scores[method].get(key), scores.get(reference, {}).get(key)
        if score is not None and compared_with is not None:
            values = (score.mean, compared_with.mean)
            shares = values if key == "mass_ratio" else tuple(percent(value) for value in values)
            results.append(text(phrase, score=shares[0], other=shares[1]))
    return text(
        "Measured on {clips} clips of {people} unseen people, whose cause is known (10 blocks): {results}.",
        clips=scorecard.clips,
        people=scorecard.people,
        results=joined(results, text("; ")),
    )


def method_scores(method: str, scorecard: Scorecard | None, variant: str) -> list[tuple[str, str]]:
    """How a method did on known clips: for each score a kind ("yes", "no" or "": no verdict) and a sentence."""
    scores = (scorecard.scores.get(variant, {}) if scorecard else {}).get(method, {})
    told: list[tuple[str, str]] = [
        ("", text(phrase, share=100 * score.mean))
        for key, phrase in (
            ("game_top", text("Names the block used most in {share:.0f} of 100 clips.")),
            ("pointing", text("Points at what moved in {share:.0f} of 100.")),
        )
        if (score := scores.get(key)) is not None
    ]
    checked = (scorecard.sanity.get(variant, {}) if scorecard else {}).get(method)
    fails = checked["fails_randomisation"] if checked else METHODS[method].fails_randomisation
    if fails:
        return [*told, ("no", text("Fails the test with random weights: it shows the clip, not the network."))]
    return [*told, ("yes", text("Passes the test with random weights."))] if checked else told


def methods_agree(tops: Mapping[str, str]) -> str:
    """A sentence on which block each method (a key) puts first; empty where there are none."""
    named = Counter(tops.values()).most_common()
    if not named:
        return ""
    if len(named) == 1:
        return text("All {count} methods put the same block first: {block}.", count=len(tops), block=named[0][0])
    (first, count), *others = named
    rest = listed([text("{times} {block}", times=times, block=block) for block, times in others])
    sentence = text("{count} of {all} methods put {block} first, {rest}.")
    return text(sentence, count=count, all=len(tops), block=first, rest=rest)


def compared(comparison: Comparison) -> str:
    """A sentence or two on which blocks the variants rest on, and where they differ."""
    tops = {variant: strongest(comparison, variant)[0] for variant in comparison.shares}
    if len(set(tops.values())) == 1:
        sentence = text("All variants rest most on the same block: {block}.", block=next(iter(tops.values())))
    else:
        blocks = [text("{variant} on {block}", variant=VARIANT_NAMES[v], block=block) for v, block in tops.items()]
        sentence = text("They rest on different blocks: {blocks}.", blocks=joined(blocks, text("; ")))
    if not comparison.comparable:
        answers = [
            text("{variant} “{label}”", variant=VARIANT_NAMES[v], label=target)
            for v, target in comparison.targets.items()
        ]
        different = text("{sentence} They explain different answers ({answers}), so their blocks need not match.")
        return text(different, sentence=sentence, answers=joined(answers))
    widest = max(comparison.pairs, key=lambda pair: _gap(comparison, pair), default=None)
    if widest is None or _gap(comparison, widest) < _MIN_SHARE_GAP:
        return sentence
    block = most_divided(comparison, widest)
    shares = [comparison.shares[variant][block] for variant in (widest.first, widest.second)]
    return text(
        "{sentence} They differ most about {block}: {first} finds {share:.0f} % of its evidence there, {second} "
        "{other_share:.0f} %.",
        sentence=sentence,
        block=block,
        first=VARIANT_NAMES[widest.first],
        share=100 * shares[0],
        second=VARIANT_NAMES[widest.second],
        other_share=100 * shares[1],
    )


def _gap(comparison: Comparison, pair: Pair) -> float:
    block = most_divided(comparison, pair)
    return abs(comparison.shares[pair.first][block] - comparison.shares[pair.second][block])
