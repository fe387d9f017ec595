// Two spirals in the plane: the data set that a network without a hidden layer cannot tell apart.
import type { Samples } from "./csv.ts";

const POINTS_PER_ARM = 150;

/** The spirals, with a little noise; always the same. */
export function spirals(): Samples {
  const x: number[] = [];
  const labels: number[] = [];
  let state = 12345;
  const noise = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (state / 2147483648 - 0.5) * 0.16;
  };
  for (let at = 0; at < POINTS_PER_ARM; at++) {
    for (const arm of [0, 1]) {
      const radius = 0.15 + (1.85 * at) / POINTS_PER_ARM;
      const angle = 1.75 * Math.PI * radius + Math.PI * arm;
      x.push(radius * Math.cos(angle) + noise(), radius * Math.sin(angle) + noise());
      labels.push(arm);
    }
  }
  return {
    features: ["x₁", "x₂"],
    leftOut: [],
    x: Float64Array.from(x),
    rows: labels.length,
    target: { kind: "classes", labels, names: ["inner", "outer"] },
  };
}
