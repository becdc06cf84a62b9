// HTML elements and the writing of numbers.

/** A new element. Attributes that are null or false are left out; `on…` adds a listener. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== ""));
  return element;
}

/** "1 subword", "2,000 subwords". */
export function plural(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** A cosine with two decimals and without a leading zero. */
export function decimals(cosine) {
  return cosine.toFixed(2).replace(/^(-?)0\./, "$1.");
}

/** Items by key, the largest list first; the keys of `last` come at the end. */
export function grouped(items, keyOf, last) {
  const found = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (found.has(key)) found.get(key).push(item);
    else found.set(key, [item]);
  }
  const isLast = (key) => last.indexOf(key) + 1;
  return [...found].sort((a, b) => isLast(a[0]) - isLast(b[0]) || b[1].length - a[1].length);
}
