// A curve of any length in a fixed amount of memory: when it is full, every second point goes, and from then on only
// every second new point is taken.

/** Points of several values over steps. */
export class Curve {
  /** The steps of the points, ascending. */
  readonly #steps: Float64Array;
  readonly #values: readonly Float64Array[];
  #length = 0;
  #stride = 1;
  #skipped = 0;

  /** A curve of `width` values at each step, of at most `capacity` points. */
  constructor(width: number, capacity = 2048) {
    this.#steps = new Float64Array(capacity);
    this.#values = Array.from({ length: width }, () => new Float64Array(capacity));
  }

  /** The number of points that are kept. */
  get length(): number {
    return this.#length;
  }

  /** The step of the last point; −1 without any. */
  get lastStep(): number {
    return this.#length > 0 ? (this.#steps[this.#length - 1] ?? -1) : -1;
  }

  /** Adds a point; NaN where there is no value. A step that is not behind the last one is one that is known already. */
  push(step: number, values: readonly number[]): void {
    if (step <= this.lastStep) return;
    this.#skipped += 1;
    if (this.#length > 0 && this.#skipped < this.#stride) return;
    this.#skipped = 0;
    if (this.#length === this.#steps.length) this.#halve();
    this.#steps[this.#length] = step;
    for (const [at, column] of this.#values.entries()) column[this.#length] = values[at] ?? Number.NaN;
    this.#length += 1;
  }

  /** Forgets all points. */
  clear(): void {
    this.#length = 0;
    this.#stride = 1;
    this.#skipped = 0;
  }

  /** The steps, as they are now. */
  steps(): Float64Array {
    return this.#steps.subarray(0, this.#length);
  }

  /** A value at each step, as they are now. */
  column(at: number): Float64Array {
    return (this.#values[at] ?? new Float64Array()).subarray(0, this.#length);
  }

  #halve(): void {
    const kept = Math.ceil(this.#length / 2);
    for (const column of [this.#steps, ...this.#values]) {
      for (let at = 0; at < kept; at++) column[at] = column[2 * at] ?? Number.NaN;
    }
    this.#length = kept;
    this.#stride *= 2;
  }
}

/** Two curves over the union of their steps, as uPlot reads them: null where a curve has no point. */
export function joined(one: Curve, other: Curve, at: number): [number[], (number | null)[], (number | null)[]] {
  const [a, b] = [one.steps(), other.steps()];
  const [av, bv] = [one.column(at), other.column(at)];
  const steps: number[] = [];
  const left: (number | null)[] = [];
  const right: (number | null)[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const [s, t] = [a[i] ?? Infinity, b[j] ?? Infinity];
    const step = Math.min(s, t);
    steps.push(step);
    left.push(s === step ? finite(av[i++]) : null);
    right.push(t === step ? finite(bv[j++]) : null);
  }
  return [steps, left, right];
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
