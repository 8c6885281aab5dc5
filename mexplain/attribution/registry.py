"""The methods of attribution: what each measures, its limits and its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mexplain.attribution import algorithms
from mexplain.attribution.algorithms import MethodOutput
from mexplain.errors import SettingError
from mexplain.language.message import text


@dataclass(frozen=True)
class Parameter:
    """A number that a method takes, from ``low`` to ``high``; an integer if ``whole``."""

    name: str
    default: int | float
    low: int | float
    high: int | float
    description: str
    whole: bool = True


@dataclass(frozen=True)
class Method:
    """A method of attribution: ``description`` says what it measures, ``limits`` what it cannot show.

    ``run`` attributes one target, ``run_together`` (where there is one) several of one network at once. ``unit`` is
    that of its values; ``signed`` says whether they can be negative, ``complete`` whether they add up to the difference
    between clip and baseline, ``tells_when`` whether they differ from frame to frame. ``fails_randomisation`` marks a
    method whose map hardly changes when the network's weights are random numbers, as measured on the shipped weights
    (``scorecard.json``): it shows the clip rather than the network. ``by_construction`` are keys of ``CHECKS`` in
    ``mexplain.attribution.check`` that tell nothing of this method, for what they ask is how it works. ``needs`` are
    keys of ``NEEDS`` in ``mexplain.attribution.block_target``: what a network must offer beside its logits.
    """

    key: str
    name: str
    description: str
    limits: str
    run: Callable[..., MethodOutput]
    run_together: Callable[..., list[MethodOutput]] | None = None
    unit: str = text("logits")
    parameters: tuple[Parameter, ...] = ()
    signed: bool = True
    complete: bool = False
    tells_when: bool = True
    fails_randomisation: bool = False
    by_construction: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def checked(self, settings: Mapping[str, int | float]) -> dict[str, int | float]:
        """Complete ``settings`` with defaults; raises ``SettingError`` for an unknown name or a value out of range."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in settings.items():
            if name not in known:
                raise SettingError(f"{self.name} takes these settings: {', '.join(known) or 'none'}; got {name!r}.")
            parameter = known[name]
            if not parameter.low <= value <= parameter.high or (parameter.whole and value != int(value)):
                kind = "a whole number" if parameter.whole else "a number"
                raise SettingError(
                    f"{name} of {self.name} must be {kind} from {parameter.low:g} to {parameter.high:g}; got {value:g}."
                )
        values = {name: settings.get(name, parameter.default) for name, parameter in known.items()}
        return {name: int(value) if known[name].whole else float(value) for name, value in values.items()}


METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        Method(
            "integrated_gradients",
            text("Integrated gradients"),
            text(
                "How much each pixel's change from the baseline adds to the class's logit or takes from it, summed up "
                "while the baseline is blended into the clip."
            ),
            text(
                "The blended pictures on the way are not real ones, and a part is credited only for what it adds to "
                "the baseline, not for what it does together with other parts."
            ),
            algorithms.integrated_gradients,
            algorithms.integrated_gradients_together,
            parameters=(
                Parameter("most_steps", 96, 14, 1000, "Points on the way at most; fewer are taken if they add up."),
            ),
            complete=True,
            needs=("gradient",),
        ),
        Method(
            "gradient_shap",
            text("GradientSHAP"),
            text("The same sum as integrated gradients, estimated at random points of the way (expected gradients)."),
            text("Random points make it noisy: it adds up only roughly, and small values mean little."),
            algorithms.gradient_shap,
            parameters=(Parameter("samples", 8, 1, 500, "Random points; more are steadier and slower."),),
            needs=("gradient",),
        ),
        Method(
            "saliency",
            text("Saliency"),
            text("How steeply the logit would rise or fall if a pixel of the clip became a little brighter."),
            text(
                "It tells what the answer is sensitive to, not what brought it about, and not whether for or against."
            ),
            algorithms.saliency,
            unit=text("logits per unit of brightness"),
            signed=False,
            fails_randomisation=True,
            needs=("gradient",),
        ),
        Method(
            "smoothgrad",
            text("SmoothGrad"),
            text("Saliency averaged over copies of the clip with a little noise, which blurs out chance."),
            text("As saliency: sensitivity without a sign. The noise is itself a change that the network notices."),
            algorithms.smoothgrad,
            unit=text("logits per unit of brightness"),
            parameters=(
                Parameter("samples", 8, 1, 500, "Noisy copies; more are smoother and slower."),
                Parameter("noise", 0.01, 0.0, 0.5, "Its standard deviation; 1 is black to white.", whole=False),
            ),
            signed=False,
            fails_randomisation=True,
            needs=("gradient",),
        ),
        Method(
            "input_x_gradient",
            text("Input x gradient"),
            text("Each pixel's change from the baseline times the slope of the logit at the clip itself."),
            text(
                "It takes the slope at the end of the way for the whole of it: once an answer is certain, little is "
                "left."
            ),
            algorithms.input_x_gradient,
            needs=("gradient",),
        ),
        Method(
            "grad_cam",
            text("Grad-CAM"),
            text(
                "Channels of the network's features, as far as they left the baseline's, weighted by their mean slope."
            ),
            text(
                "Coarse; its values are not logits; one weight a channel cannot tell apart two places that differ in "
                "sign."
            ),
            algorithms.grad_cam,
            unit=text("of its own"),
            needs=("features",),
        ),
        Method(
            "occlusion",
            text("Occlusion"),
            text(
                "How far the logit falls when a window of space and time is held at the baseline, shared among its "
                "pixels."
            ),
            text("Windows overlap, so values do not add up; what two places both show is credited to neither."),
            algorithms.occlusion,
            parameters=(
                Parameter("frames", 4, 1, 100, "Length of the window."),
                Parameter("cells", 8, 1, 100, "Its side, in cells of the trunk's features (28 across the picture)."),
                Parameter("stride", 4, 1, 100, "How far it moves at a time."),
            ),
            by_construction=("single_deletion",),
        ),
        Method(
            "block_ablation",
            text("Block ablation"),
            text("How far the logit falls when one block is held still."),
            text(
                "What two blocks both show is credited to neither, and shared skin is held still with each. Not when."
            ),
            algorithms.block_ablation,
            tells_when=False,
            by_construction=("single_deletion",),
        ),
        Method(
            "shapley",
            text("Shapley values"),
            text(
                "A block's mean contribution over all orders in which blocks could start to move: exact where the "
                "variant has ten blocks, else sampled."
            ),
            text("It takes a second or more. Faces of which half moves are not natural ones. It does not tell when."),
            algorithms.shapley,
            parameters=(
                Parameter("permutations", 8, 2, 1000, "Orders tried where all are too many."),
                Parameter("exact_up_to", 10, 0, 12, "Blocks that a variant may have for all orders to count."),
            ),
            complete=True,
            tells_when=False,
        ),
        Method(
            "attention",
            text("Attention"),
            text("The weight that the network's own gates gave each block, averaged over the frames."),
            text(
                "A weight is no reason: what a block says may not matter for the class. The same for every class; one "
                "weight for the whole picture where there are no blocks."
            ),
            algorithms.attention,
            unit=text("weight"),
            signed=False,
            by_construction=("attention",),
            needs=("attention",),
        ),
        Method(
            "attention_x_gradient",
            text("Attention x gradient"),
            text(
                "Each gate's weight times the slope of the logit there: what would be lost if the gate closed a little."
            ),
            text("Only the path through the gates: what the network sees in the frame as a whole is left out."),
            algorithms.attention_x_gradient,
            by_construction=("attention",),
            needs=("gates",),
        ),
    )
}
