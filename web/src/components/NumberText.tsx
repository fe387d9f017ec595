// A number, short for the reader and exact in the DOM: `data-value` has every digit.
import { exact } from "../model/matrix.ts";
import { shortNumber, signOf } from "../model/number.ts";

interface Props {
  readonly value: number;
  readonly digits?: number;
}

/** A number with its sign in colour and as a glyph. */
export function NumberText({ value, digits = 4 }: Props) {
  const text = exact(value);
  return (
    <data class={`number ${signOf(value)}`} value={text} data-value={text} title={text}>
      {shortNumber(value, digits)}
    </data>
  );
}
