// The caller's token: taken from `#token=…` once, removed from the address, and kept for this tab alone.
import { signal } from "@preact/signals";

const KEY = "backpropd.token";

/** The bearer token of every call; undefined without one. */
export const token = signal<string | undefined>(sessionStorage.getItem(KEY) ?? undefined);

/** Signs in, or out with undefined. */
export function setToken(value: string | undefined): void {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  token.value = value || undefined;
}

/** Takes a token out of the address, so that neither a copied link nor the history has it. */
export function takeTokenFromAddress(): void {
  const match = /(?:^#|&|\?)token=([^&]*)/.exec(location.hash);
  if (!match) return;
  setToken(decodeURIComponent(match[1] ?? "").trim());
  const rest = location.hash.replace(match[0], "").replace(/^[#&?]+/, "");
  history.replaceState(null, "", rest ? `#${rest}` : location.pathname + location.search);
}
