// A part of a text, from the bytes that the server counts to the letters that the page shows.

/** A text in three parts, of which the middle one is meant. */
export interface Marked {
  readonly before: string;
  readonly part: string;
  readonly after: string;
}

/** Cuts `text` at two positions in its UTF-8 bytes. */
export function cutAtBytes(text: string, start: number, end: number): Marked {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const piece = (from: number, to?: number) => decoder.decode(bytes.slice(from, to));
  return { before: piece(0, start), part: piece(start, end), after: piece(end) };
}
