// Lists the texts of the page whose contrast is below 4.5 to 1 (WCAG 2, AA).
(() => {
  const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 })
    .getContext('2d', { willReadFrequently: true });

  // paint lays colours over each other and returns the result's red, green and blue.
  const paint = (colors) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !node.checkVisibility()) {
      continue;
    }
    const grounds = [];
    for (let n = node; n; n = n.parentElement) {
      grounds.unshift(getComputedStyle(n).backgroundColor);
    }
    const [light, dark] = [[...grounds, getComputedStyle(node).color], grounds]
      .map((colors) => luminance(paint(colors)))
      .sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) {
      poor.push(`${contrast.toFixed(2)} ${node.tagName}.${node.className}: ${text.slice(0, 60)}`);
    }
  }
  return [...new Set(poor)];
})()
