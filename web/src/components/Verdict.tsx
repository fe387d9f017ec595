// A verdict: a glyph, a word and a colour.
import type { Verdict as Given } from "../gen/backprop/v1/grading_service_pb.ts";
import { lookOf } from "../model/verdict.ts";

interface Props {
  readonly verdict: Given | undefined;
  /** The glyph alone, with the word for screen readers. */
  readonly isShort?: boolean;
}

/** A verdict. */
export function Verdict({ verdict, isShort = false }: Props) {
  const { word, glyph, look } = lookOf(verdict);
  return (
    <span class={`verdict ${look}`} data-verdict={look}>
      <span aria-hidden="true">{glyph}</span> <span class={isShort ? "visually-hidden" : ""}>{word}</span>
    </span>
  );
}
