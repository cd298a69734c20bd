// The contrasts of what is to be seen, each with the least that it may be: of every text against what is
// behind it (WCAG 2.2, 1.4.3), and of the edges of fields and of what has the focus (1.4.11).
const colour = (text) => {
  const parts = text.match(/^rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)$/);
  if (!parts) {
    throw new Error(`not a colour: ${text}`);
  }
  return [1, 2, 3].map((part) => Number(parts[part])).concat(Number(parts[4] ?? 1));
};
const over = (top, below) =>
  [0, 1, 2].map((part) => top[part] * top[3] + below[part] * (1 - top[3])).concat(1);
const seen = (element) => {
  const style = getComputedStyle(element);
  const behind = element.parentElement ? seen(element.parentElement).surface : [255, 255, 255, 1];
  const surface = over(colour(style.backgroundColor), behind);
  const faded = (top) => over([...top.slice(0, 3), Number(style.opacity)], behind);
  return { behind, surface: faded(surface), text: faded(over(colour(style.color), surface)) };
};
const luminance = (colour) => {
  const [red, green, blue] = colour.slice(0, 3).map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one, other) => {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};

const found = [];
const text = (element, text) => {
  if (element.checkVisibility()) {
    const { surface, text: ink } = seen(element);
    const what = `${element.localName}: ${text.trim()}`;
    found.push({ what, contrast: contrast(ink, surface), least: 4.5 });
  }
};
const line = (what, element, drawn, ...grounds) => {
  const contrasts = grounds.map((ground) => contrast(over(colour(drawn), ground), ground));
  found.push({ what: `${what}: ${element.id}`, contrast: Math.min(...contrasts), least: 3 });
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  if (texts.currentNode.data.trim()) {
    text(texts.currentNode.parentElement, texts.currentNode.data);
  }
}
for (const input of document.querySelectorAll("input:not([type=hidden])")) {
  const { behind, surface } = seen(input);
  line("edge", input, getComputedStyle(input).borderTopColor, behind, surface);
  if (input.value) {
    text(input, input.value);
  }
}
const focused = document.querySelector(":focus-visible");
if (focused) {
  line("focus", focused, getComputedStyle(focused).outlineColor, seen(focused).behind);
}
return found;
