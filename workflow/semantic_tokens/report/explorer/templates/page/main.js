// The explorer: cut a word into subwords as the backbone does, and show the semantic token of each.

import { plural } from "./elements.js";
import { groupings, header, load, vocabulary } from "./study.js";
import { followTheme } from "./theme.js";
import { listen, showFirst } from "./typing.js";
import { status } from "./view.js";

function describeStudy() {
  const dimension = header.dimension ? `, first ${header.dimension} columns` : "";
  document.getElementById("the-about").textContent =
    `${header.backbone}${dimension}: ${plural(vocabulary.pieces.length, "subword")}, ` +
    `${plural(groupings.length, "grouping")}. Languages and English are from the study’s ` +
    "lexicons; a subword that is in none of them may still be a word.";
}

async function start() {
  followTheme();
  listen();
  if (!globalThis.DecompressionStream) {
    status.className = "notice";
    status.textContent =
      "This browser is too old to unpack the vocabulary: it has no DecompressionStream.";
    return;
  }
  await load();
  describeStudy();
  showFirst();
}

start().catch((error) => {
  status.className = "notice";
  status.textContent = `This page could not be unpacked (${error.message}); make it again.`;
  throw error;
});
