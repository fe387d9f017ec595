// Numbers as people paste them: what numpy and torch print, Python and JSON literals, MATLAB rows, cells of a sheet.
import { type Matrix, matrixOf } from "./matrix.ts";

/** A tensor out of the pasted text. */
export interface Pasted {
  /** The name before it, such as "dW2"; empty without one. */
  readonly name: string;
  /** One axis becomes a row. */
  readonly matrix: Matrix;
  /** The number of axes as it was written. */
  readonly axes: 0 | 1 | 2;
  /** The most significant digits that an entry has: what is printed is mostly rounded. */
  readonly digits: number;
}

/** A text that has no readable numbers; the message says where and what to do. */
export class UnreadableNumbers extends Error {}

/** More is not a homework's gradient, and the page shows what it reads. */
const MOST_NUMBERS = 100_000;

/** Names before a tensor: `dW2 = …`, `"dW2": …`, `dW[2] = …`, `grads["dW2"] = …`. */
const NAME = /(?:["']?([A-Za-z_]\w*(?:\[\d+\])?)["']?(?:\.\w+)?\]?)\s*[:=]\s*(?=[-+\w[({.])/g;

const NUMBER = /^[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?|NaN|Infinity|Inf)$/;

/** Reads every tensor of a text. */
export function readPasted(text: string): readonly Pasted[] {
  const plain = text.replaceAll("−", "-").trim();
  if (!plain) throw new UnreadableNumbers("There is nothing to read. Paste a matrix.");
  if (/\.\.\.|…/.test(plain)) {
    throw new UnreadableNumbers(
      "Entries are left out (…). Print all of them: np.set_printoptions(threshold=np.inf), or use .tolist().",
    );
  }
  const bare = plain.replace(SETTINGS, "");
  const starts = [...bare.matchAll(NAME)];
  if (starts.length === 0) return [tensor("", bare)];
  return starts.map((match, at) => {
    const from = match.index + match[0].length;
    const to = starts[at + 1]?.index ?? bare.length;
    return tensor(match[1] ?? "", bare.slice(from, to));
  });
}

/** What numpy and torch print beside the numbers. */
const SETTINGS =
  /,?\s*\b(?:dtype|device|requires_grad|grad_fn|shape|size|layout)\s*=\s*(?:<[^>]*>|'[^']*'|\([^)]*\)|[\w.]+)/g;

function tensor(name: string, text: string): Pasted {
  const body = text
    .replace(/\b(?:np|numpy|jnp|torch)\./g, "")
    .replace(/\b(?:array|tensor|matrix|Array|float(?:32|64))\s*\(/g, "(")
    .replace(/[()}{]/g, " ")
    .trim()
    .replace(/[,;]$/, "")
    .trim();
  const where = name ? `${name}: ` : "";
  const rows = body.includes("[") ? rowsOfBrackets(body, where) : rowsOfLines(body);
  const numbers = rows.map((row) => row.map((word) => numberOf(word, where)));
  const columns = numbers[0]?.length ?? 0;
  if (columns === 0)
    throw new UnreadableNumbers(`${where}there are no numbers. Paste a matrix such as [[1, 2], [3, 4]].`);
  const odd = numbers.findIndex((row) => row.length !== columns);
  if (odd >= 0) {
    throw new UnreadableNumbers(
      `${where}row 1 has ${columns} entries and row ${odd + 1} has ${numbers[odd]?.length}: every row needs as many.`,
    );
  }
  if (numbers.length * columns > MOST_NUMBERS) {
    throw new UnreadableNumbers(
      `${where}these are more than ${MOST_NUMBERS} numbers. Send them from your code instead.`,
    );
  }
  return { name, matrix: matrixOf(numbers), axes: axesOf(body, numbers.length), digits: digitsOf(rows) };
}

function axesOf(body: string, rows: number): 0 | 1 | 2 {
  if (body.includes("[")) return /\[\s*\[/.test(body) || rows > 1 ? 2 : 1;
  if (rows > 1) return 2;
  return /[\s,;]/.test(body) ? 1 : 0;
}

function digitsOf(rows: readonly (readonly string[])[]): number {
  const mantissas = rows.flat().map((word) => word.replace(/e.*$/i, "").replace(/[^\d]/g, "").replace(/^0+/, ""));
  return mantissas.reduce((most, digits) => Math.max(most, digits.length), 0);
}

/** `[[1, 2], [3, 4]]` and `[[1. 2.]\n [3. 4.]]`; MATLAB's `[1 2; 3 4]`. */
function rowsOfBrackets(body: string, where: string): readonly (readonly string[])[] {
  const opened = body.split("[").length;
  const closed = body.split("]").length;
  if (opened !== closed) {
    throw new UnreadableNumbers(`${where}${opened - 1} “[” and ${closed - 1} “]”: copy the whole matrix.`);
  }
  if (/\[\s*\[\s*\[/.test(body))
    throw new UnreadableNumbers(`${where}it has three axes: a gradient here has one or two.`);
  const inner = [...body.matchAll(/\[([^[\]]*)\]/g)].map((match) => match[1] ?? "");
  return inner.flatMap((row) => row.split(";").map(wordsOf)).filter((row) => row.length > 0);
}

/** A row on a line, or rows between semicolons. */
function rowsOfLines(body: string): readonly (readonly string[])[] {
  return body
    .split(/[\n;]/)
    .map(wordsOf)
    .filter((row) => row.length > 0);
}

function wordsOf(row: string): readonly string[] {
  return row
    .trim()
    .replace(/,\s*$/, "")
    .split(/\s*,\s*|\s+/)
    .filter(Boolean);
}

function numberOf(word: string, where: string): number {
  if (!NUMBER.test(word)) {
    const shown = word.length > 30 ? `${word.slice(0, 30)}…` : word;
    throw new UnreadableNumbers(`${where}“${shown}” is no number. Numbers look like 0.5, -1.2e-3 or nan.`);
  }
  const lower = word.toLowerCase().replace(/^\+/, "");
  if (lower.endsWith("nan")) return Number.NaN;
  if (lower.replace("-", "").startsWith("inf")) return lower.startsWith("-") ? -Infinity : Infinity;
  return Number(lower);
}
