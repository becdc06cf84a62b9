// The field to type into, its suggestions, and the address of the page.

import { h } from "./elements.js";
import { vocabulary } from "./study.js";
import { codes, word } from "./subwords.js";
import { main, render } from "./view.js";

const input = document.getElementById("the-word");
const list = document.getElementById("the-suggestions");

let isReady = false; // whether the vocabulary is unpacked
let suggested = [];
let active = -1; // the position of the active suggestion
let isTyping = false; // whether the current entry of the history is from this typing
let isFollowing = false; // whether a link was clicked, and takes the focus along

function close() {
  suggested = [];
  active = -1;
  list.hidden = true;
  list.replaceChildren();
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function option(id, place) {
  return h(
    "li",
    {
      role: "option",
      id: `the-suggestion-${place}`,
      "aria-selected": "false",
      // Before the field loses the focus, since that closes the list.
      onmousedown: (event) => {
        event.preventDefault();
        take(place);
      },
    },
    word(id),
    h("span", { class: "gloss" }, vocabulary.glossOf(id) || codes(vocabulary.sensesOf(id))),
  );
}

/** Open the list of suggestions. */
function propose() {
  suggested = vocabulary.suggest(input.value);
  if (!suggested.length) return close();
  active = -1;
  input.removeAttribute("aria-activedescendant");
  list.replaceChildren(...suggested.map(option));
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
}

/** Make a suggestion the active one; none if `place` is -1. */
function point(place) {
  active = place;
  for (const [i, item] of [...list.children].entries()) {
    item.setAttribute("aria-selected", String(i === active));
  }
  if (active < 0) return input.removeAttribute("aria-activedescendant");
  input.setAttribute("aria-activedescendant", list.children[active].id);
  list.children[active].scrollIntoView({ block: "nearest" });
}

function take(place) {
  go(vocabulary.locator(suggested[place]));
}

/** Look a word up, with an entry of its own in the history. */
function go(typed) {
  close();
  isTyping = false;
  const hash = `#${encodeURIComponent(typed)}`;
  input.value = typed;
  if (hash !== location.hash) history.pushState(null, "", hash);
  if (isReady) render(typed);
}

/** Show what the address says: after a link, "back" or "forward". */
function follow(selected = null) {
  let typed = location.hash.slice(1);
  try {
    typed = decodeURIComponent(typed);
  } catch {
    // An incomplete escape in the address is used unchanged.
  }
  isTyping = false;
  if (input.value !== typed) input.value = typed;
  close();
  if (isReady) render(typed, selected);
  if (isFollowing) {
    main.querySelector("[role=tab][aria-selected=true]")?.focus({ preventScroll: true });
  }
  isFollowing = false;
}

function onInput(event) {
  if (event.isComposing && !input.value) return;
  const hash = `#${encodeURIComponent(input.value)}`;
  // One typing is one entry of the history; the word before it keeps its own.
  if (isTyping) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  isTyping = true;
  if (!isReady) return;
  render(input.value);
  propose();
}

function onKeyDown(event) {
  if (event.isComposing) return;
  const last = suggested.length - 1;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!suggested.length) return propose();
    const next = active + (event.key === "ArrowDown" ? 1 : -1);
    point(next > last ? -1 : next < -1 ? last : next);
  } else if (event.key === "Enter") {
    if (active >= 0) take(active);
    else {
      isTyping = false;
      close();
    }
  } else if (event.key === "Escape") {
    if (!list.hidden) close();
    else if (input.value) go("");
    else input.blur();
  }
}

/** The key `/` leads to the field. */
function onKeyAnywhere(event) {
  const isField = event.target.closest?.("input, select, textarea");
  if (event.key !== "/" || isField || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
  input.select();
}

/** Listen to the reader. What is typed before {@link showFirst} is kept in the address. */
export function listen() {
  input.addEventListener("input", onInput);
  input.addEventListener("keydown", onKeyDown);
  input.addEventListener("blur", () => {
    close();
    isTyping = false;
  });
  document.addEventListener("keydown", onKeyAnywhere);
  window.addEventListener("popstate", (event) => follow(event.state?.selected ?? null));
  main.addEventListener("click", (event) => {
    if (!event.target.closest("a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    isFollowing = true;
    window.scrollTo(0, 0);
  });
}

/** Show the first word, once the vocabulary is unpacked: what is typed, or what the address says. */
export function showFirst() {
  isReady = true;
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  if (input.value) render(input.value);
  else follow(history.state?.selected ?? null);
}
