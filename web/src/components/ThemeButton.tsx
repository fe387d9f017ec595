// Light or dark: as the system has it, until the reader chooses.
import { effect, signal } from "@preact/signals";

const KEY = "backpropd.theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

type Theme = "light" | "dark";

const chosen = signal<Theme | undefined>(readTheme());
const system = signal<Theme>(systemIsDark.matches ? "dark" : "light");
systemIsDark.addEventListener("change", (event) => {
  system.value = event.matches ? "dark" : "light";
});

effect(() => {
  if (chosen.value) document.documentElement.dataset.theme = chosen.value;
});

function readTheme(): Theme | undefined {
  const text = localStorage.getItem(KEY);
  return text === "light" || text === "dark" ? text : undefined;
}

/** Changes between light and dark. */
export function ThemeButton() {
  const other = (chosen.value ?? system.value) === "dark" ? "light" : "dark";
  const choose = () => {
    chosen.value = other;
    localStorage.setItem(KEY, other);
  };
  return (
    <button type="button" class="theme" onClick={choose} aria-label={`Change to ${other} colours`}>
      <span aria-hidden="true">◐</span>
    </button>
  );
}
