// What of the network is looked at: the direction, the sample, the player's frame, the chosen entry (all in the address),
// and what is under the pointer.
import { computed, signal } from "@preact/signals";
import { type Entry, readEntry, writeEntry } from "../model/entry.ts";
import { type Frame, framesOf, isBackwardAt, isCurrentAt, isKnownAt } from "../model/frames.ts";
import type { Direction } from "../model/pass.ts";
import { param, setParams } from "./address.ts";
import { subject } from "./network.ts";

const directionParam = param("dir");
const sampleParam = param("sample");
const frameParam = param("frame");
const entryParam = param("at");

/** Forward or backward. */
export const direction = computed<Direction>(() => (directionParam.value === "backward" ? "backward" : "forward"));

/** The frames of the player. */
export const frames = computed<readonly Frame[]>(() => (subject.value ? framesOf(subject.value.network.spec) : []));

/** The frame at which the player stands; undefined while it is not used. */
export const frame = computed(() => frames.value.find((known) => known.id === frameParam.value));

/** The chosen entry. */
export const picked = computed(() => readEntry(entryParam.value));

/** The entry under the pointer or with the focus. */
export const pointed = signal<Entry | undefined>(undefined);

/** The factor of an explanation that is pointed at: its place in the picture lights up. */
export const factor = signal<Entry | undefined>(undefined);

const PER_SAMPLE = new Set(["x", "y", "z", "h", "dz", "dh", "dx", "delta"]);

/** The sample that the picture shows, from 0: that of the factor pointed at, else the chosen one. */
export const sample = computed(() => {
  const lit = factor.value;
  const most = (subject.value?.batch.x.rows ?? 1) - 1;
  const wanted = lit && PER_SAMPLE.has(lit.quantity) ? lit.row : Number(sampleParam.value ?? "1") - 1;
  return Math.min(Math.max(Number.isInteger(wanted) ? wanted : 0, 0), most);
});

/** Entries that light up in the picture. δ stands where dz of the last layer does. */
export const lit = computed<ReadonlySet<string>>(() => {
  const entry = factor.value;
  const last = subject.value?.network.spec.layers.length ?? 0;
  if (!entry) return new Set();
  const seen = entry.quantity === "delta" ? { ...entry, quantity: "dz" as const, layer: last } : entry;
  return new Set([writeEntry(seen)]);
});

/** Whether an entry is computed where the player stands. */
export function isKnown(entry: Pick<Entry, "quantity" | "layer">): boolean {
  return isKnownAt(frames.value, frame.value, entry.quantity, entry.layer);
}

/** Whether an entry is what the player computes now. */
export function isCurrent(entry: Pick<Entry, "quantity" | "layer">): boolean {
  return isCurrentAt(frames.value, frame.value, entry);
}

export function setDirection(next: Direction): void {
  setParams({ dir: next === "backward" ? next : undefined });
}

export function setSample(next: number): void {
  setParams({ sample: next === 0 ? undefined : String(next + 1) });
}

/** Chooses an entry. */
export function pick(entry: Entry | undefined): void {
  setParams({ at: entry && writeEntry(entry) }, { remember: true });
}

/** Moves the player; the picture turns to where the frame belongs. */
export function setFrame(next: Frame | undefined): void {
  setParams({ frame: next?.id, ...(next && { dir: isBackwardAt(next) ? "backward" : undefined }) });
}
