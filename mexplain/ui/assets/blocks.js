// Blocks are held and let go by a click, by Space or Enter, or all at once by drawing a loop around their middles.
let version = 0, latest = [];
const choose = (names) => {
  [version, latest] = [version + 1, names];
  props.value = { ...props.value, chosen: names, version };
  trigger("input");
};
// An answer to what was asked before the latest choice must not undo it.
watch("value", () => {
  const { blocks, chosen, version: answered } = props.value;
  if (answered >= version) [version, latest] = [answered, chosen];
  else choose(latest.filter((name) => blocks.some((block) => block.name === name)));
});
const toggled = (name) => {
  const held = props.value.chosen;
  return held.includes(name) ? held.filter((other) => other !== name) : [...held, name];
};
const pressed = (name) => {
  choose(toggled(name));
  requestAnimationFrame(() => element.querySelector(`[data-block="${name}"]`)?.focus());
};
const inside = (x, y, loop) => loop.reduce((within, [ax, ay], i) => {
  const [bx, by] = loop[(i + loop.length - 1) % loop.length];
  return (ay > y) !== (by > y) && x < ((bx - ax) * (y - ay)) / (by - ay) + ax ? !within : within;
}, false);
let loop = null;
const place = (event) => {
  const box = element.querySelector("svg").getBoundingClientRect();
  return [(100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height];
};
element.addEventListener("keydown", (event) => {
  const block = event.target.closest("[data-block]");
  if (!block || ![" ", "Enter"].includes(event.key)) return;
  event.preventDefault();
  pressed(block.dataset.block);
});
element.addEventListener("pointerdown", (event) => {
  if (event.target.closest("svg") && event.pointerType !== "touch") loop = [place(event)];
});
element.addEventListener("pointermove", (event) => {
  if (!loop) return;
  loop.push(place(event));
  element.querySelector(".lasso").setAttribute("points", loop.map((p) => p.join()).join(" "));
});
element.addEventListener("click", (event) => {
  const drawn = loop || [];
  loop = null;
  element.querySelector(".lasso")?.setAttribute("points", "");
  const wide = Math.max(0, ...drawn.map(([x]) => Math.abs(x - drawn[0][0])), ...drawn.map(([, y]) => Math.abs(y - drawn[0][1])));
  if (wide > 4) {
    const caught = props.value.blocks.filter((b) => inside(b.cx, b.cy, drawn)).map((b) => b.name);
    if (caught.length) choose([...new Set([...props.value.chosen, ...caught])]);
    return;
  }
  const block = event.target.closest("[data-block]");
  if (block) pressed(block.dataset.block);
});
