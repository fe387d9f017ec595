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

const IN_ADDRESS = /(^#|[?&])token=([^&]*)(&|$)/;

/** Takes a token out of the address, so that neither a copied link nor the history has it. */
export function takeTokenFromAddress(): void {
  const found = IN_ADDRESS.exec(location.hash)?.[2];
  if (found === undefined) return;
  setToken(found.trim());
  const rest = location.hash.replace(IN_ADDRESS, (_, before: string, __, after: string) => (after ? before : ""));
  history.replaceState(null, "", rest && rest !== "#" ? rest : location.pathname + location.search);
}
