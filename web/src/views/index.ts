// The views by their names in the address; each is loaded when it is first shown.
import type { ComponentType } from "preact";

/** A view: how the menu calls it, and where its code is. */
export interface View {
  readonly name: string;
  readonly title: string;
  /** Whether the menu shows it; others are reached by a link or by a role. */
  readonly isListed: boolean;
  readonly load: () => Promise<{ readonly default: ComponentType }>;
}

export const VIEWS: readonly View[] = [
  { name: "network", title: "Network", isListed: true, load: () => import("./network.tsx") },
  { name: "homework", title: "Homework", isListed: true, load: () => import("./homework.tsx") },
  { name: "numbers", title: "My numbers", isListed: true, load: () => import("./numbers.tsx") },
  { name: "training", title: "Training", isListed: true, load: () => import("./training.tsx") },
  { name: "class", title: "Class", isListed: false, load: () => import("./class.tsx") },
];

const [FIRST] = VIEWS;

/** The view of this name; the first one if there is none. */
export function viewNamed(name: string): View | undefined {
  return VIEWS.find((view) => view.name === name) ?? FIRST;
}
