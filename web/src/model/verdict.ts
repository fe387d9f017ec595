// Verdicts and mistakes in words.
import { type Grid, Mistake, Verdict } from "../gen/backprop/v1/grading_service_pb.ts";

/** How a verdict is shown: never by colour alone. */
export interface VerdictLook {
  readonly word: string;
  readonly glyph: string;
  /** The class of the style sheet. */
  readonly look: "right" | "partial" | "wrong" | "unread" | "open";
}

const OPEN: VerdictLook = { word: "Not graded", glyph: "○", look: "open" };

const LOOKS: Readonly<Partial<Record<Verdict, VerdictLook>>> = {
  [Verdict.CORRECT]: { word: "Right", glyph: "✓", look: "right" },
  [Verdict.PARTIAL]: { word: "Partly right", glyph: "◐", look: "partial" },
  [Verdict.INCORRECT]: { word: "Wrong", glyph: "✗", look: "wrong" },
  [Verdict.INVALID]: { word: "Cannot be read", glyph: "?", look: "unread" },
};

/** How `verdict` is shown; a question without one is open. */
export function lookOf(verdict: Verdict | undefined): VerdictLook {
  return (verdict !== undefined && LOOKS[verdict]) || OPEN;
}

/** A mistake as the reports write it, such as MISSING_MASK; undefined if none was named. */
export function mistakeCode(mistake: Mistake): string | undefined {
  return mistake === Mistake.UNSPECIFIED ? undefined : Mistake[mistake];
}

/** A mistake as words: "missing mask"; undefined if it has no name. */
export function mistakeName(mistake: Mistake): string | undefined {
  if (mistake === Mistake.OTHER) return undefined;
  return mistakeCode(mistake)?.toLowerCase().replaceAll("_", " ");
}

/** The number of right entries of a grid. */
export function rightEntries(grid: Grid): number {
  return grid.right.filter(Boolean).length;
}
