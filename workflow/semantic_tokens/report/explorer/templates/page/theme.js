// Light and dark: the system's choice, or the reader's.

const button = document.getElementById("the-theme");

function isDark() {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function paint(set) {
  if (set) document.documentElement.dataset.theme = set;
  button.textContent = isDark() ? "☀ Light" : "☾ Dark";
}

/** Follow the reader's earlier choice, the button and the system. */
export function followTheme() {
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // The browser does not store anything for local files.
  }
  paint(kept);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
  button.addEventListener("click", () => {
    const set = isDark() ? "light" : "dark";
    paint(set);
    try {
      localStorage.setItem("theme", set);
    } catch {
      // As above: the choice holds until the page is closed.
    }
  });
}
