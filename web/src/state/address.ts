// The state of the page is its address: `#/view?name=value&…`. What a teacher sees is what the link shows.
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { SETUP_PARAM } from "../model/setup.ts";
import { takeTokenFromAddress } from "../rpc/token.ts";

/** A view and its parameters, as the address has them. */
export interface Place {
  readonly view: string;
  readonly params: ReadonlyMap<string, string>;
}

/** New values of parameters; undefined removes one. */
export type Changes = Readonly<Record<string, string | undefined>>;

takeTokenFromAddress();

/** The place that the address names. */
export const place = signal<Place>(readPlace(location.hash));

window.addEventListener("hashchange", () => {
  isBehind = false;
  written = location.hash;
  place.value = readPlace(location.hash);
});

/** The parameter `name` of the address. */
export function param(name: string): ReadonlySignal<string | undefined> {
  return computed(() => place.value.params.get(name));
}

/** Changes parameters of the current view; `remember` makes a step for the back button. */
export function setParams(changes: Changes, options: { readonly remember?: boolean } = {}): void {
  const { view, params } = place.peek();
  moveTo({ view, params: changed(params, changes) }, options.remember ?? false);
}

/** Goes to a view. The parameters of the network stay, so that all views show the same one. */
export function goTo(view: string, changes: Changes = {}): void {
  moveTo({ view, params: changed(shared(place.peek().params), changes) }, true);
}

/** The address of a view, with the current network and the given parameters. */
export function linkTo(view: string, changes: Changes = {}): string {
  return writePlace({ view, params: changed(shared(place.value.params), changes) });
}

/** Parameters that all views share: the network and its batch. */
const SHARED = SETUP_PARAM;

function shared(params: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...params].filter(([name]) => SHARED.test(name)));
}

function changed(params: ReadonlyMap<string, string>, changes: Changes): ReadonlyMap<string, string> {
  const next = new Map(params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) next.delete(name);
    else next.set(name, value);
  }
  return next;
}

function moveTo(next: Place, remember: boolean): void {
  const address = writePlace(next);
  if (address === writePlace(place.peek())) return;
  place.value = next;
  if (remember) {
    isBehind = false;
    history.pushState(null, "", address);
    written = location.hash;
  } else {
    replaceAddress();
  }
}

/** Browsers refuse more than 100 changes of the address in 30 seconds, and a slider makes more. */
const PAUSE_MS = 400;

let pause: number | undefined;

/** The address as it was last written or read; another one is that of a link which `hashchange` is about to tell. */
let written = location.hash;

/** Whether the address still has to follow `place`. */
let isBehind = false;

function replaceAddress(): void {
  isBehind = pause !== undefined;
  if (isBehind || location.hash !== written) return;
  history.replaceState(null, "", writePlace(place.peek()));
  written = location.hash;
  pause = window.setTimeout(() => {
    pause = undefined;
    if (isBehind) replaceAddress();
  }, PAUSE_MS);
}

function readPlace(hash: string): Place {
  const [path = "", query = ""] = splitOnce(hash.replace(/^#\/?/, ""), "?");
  const params = new Map<string, string>();
  for (const part of query.split("&").filter(Boolean)) {
    const [name = "", value = ""] = splitOnce(part, "=");
    params.set(decode(name), decode(value));
  }
  return { view: decode(path), params };
}

function writePlace({ view, params }: Place): string {
  const query = [...params].map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
  return `#/${encode(view)}${query && `?${query}`}`;
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Matrices stay readable: `W1=0.5,-1;2,0`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/%(2C|3B|2F|3A)/g, decodeURIComponent);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
