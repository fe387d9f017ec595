// A CSV file as rows to train on: numbers as features, one column as the target.

/** A file as it is: a header, if it has one, and cells. */
export interface Sheet {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Samples with classes or with numbers as targets. */
export interface Samples {
  readonly features: readonly string[];
  /** Columns of text, which no network reads. */
  readonly leftOut: readonly string[];
  readonly x: Float64Array;
  readonly rows: number;
  readonly target:
    | { readonly kind: "classes"; readonly labels: readonly number[]; readonly names: readonly string[] }
    | { readonly kind: "numbers"; readonly y: Float64Array };
}

/** A file that cannot be trained on; the message says where and what to do. */
export class UnreadableFile extends Error {}

/** Targets with more different numbers than this are a regression. */
const MOST_CLASSES = 20;

/** Reads the cells of a file. */
export function readSheet(text: string): Sheet {
  const separator = separatorOf(text.slice(0, text.indexOf("\n") >>> 0));
  const cells = cellsOf(text.replace(/^\uFEFF/, ""), separator).filter((row) => row.some((cell) => cell.trim()));
  const [first, ...rest] = cells;
  if (!first || rest.length === 0) throw new UnreadableFile("The file has no rows. It needs a sample in each line.");
  const width = first.length;
  if (width < 2) throw new UnreadableFile("The file has one column. It needs at least one feature and the target.");
  const hasHeader = first.some((cell, at) => !isNumber(cell) && (rest[0]?.[at] === undefined || isNumber(rest[0][at])));
  const rows = hasHeader || first.every((cell) => !isNumber(cell)) ? rest : cells;
  const columns = rows === rest ? first.map((name) => name.trim()) : first.map((_, at) => `column ${at + 1}`);
  const odd = rows.findIndex((row) => row.length !== width);
  if (odd >= 0) {
    const line = odd + 1 + cells.length - rows.length;
    throw new UnreadableFile(`Line ${line} has ${rows[odd]?.length} cells and the first one has ${width}.`);
  }
  return { columns, rows };
}

/** Takes `target` as the column to predict, and every other column of numbers as a feature. */
export function samplesOf({ columns, rows }: Sheet, target: number): Samples {
  const empty = rows.findIndex((row) => row.some((cell) => !cell.trim()));
  if (empty >= 0) throw new UnreadableFile(`Row ${empty + 1} has an empty cell. Fill it, or leave the row out.`);
  const isFeature = columns.map((_, at) => at !== target && rows.every((row) => isNumber(row[at] ?? "")));
  const features = columns.filter((_, at) => isFeature[at]);
  const leftOut = columns.filter((_, at) => at !== target && !isFeature[at]);
  if (features.length === 0) throw new UnreadableFile("No column beside the target has numbers alone.");
  const numbers = rows.flatMap((row) => row.filter((_, at) => isFeature[at]).map(Number));
  return {
    features,
    leftOut,
    x: Float64Array.from(numbers),
    rows: rows.length,
    target: targetOf(rows.map((row) => (row[target] ?? "").trim())),
  };
}

function targetOf(cells: readonly string[]): Samples["target"] {
  const names = [...new Set(cells)];
  const areNumbers = names.every(isNumber);
  const isRegression = areNumbers && (names.length > MOST_CLASSES || !names.every((name) => /^-?\d+$/.test(name)));
  if (isRegression) return { kind: "numbers", y: Float64Array.from(cells, Number) };
  if (names.length < 2) throw new UnreadableFile("All rows have the same target: there is nothing to learn.");
  if (names.length > 1000)
    throw new UnreadableFile(`The target has ${names.length} different texts. Choose another column.`);
  names.sort(areNumbers ? (a, b) => Number(a) - Number(b) : undefined);
  const index = new Map(names.map((name, at) => [name, at]));
  return { kind: "classes", labels: cells.map((cell) => index.get(cell) ?? 0), names };
}

function isNumber(cell: string): boolean {
  return cell.trim() !== "" && Number.isFinite(Number(cell));
}

function separatorOf(line: string): string {
  const counts = [",", ";", "\t"].map((separator) => ({ separator, count: line.split(separator).length }));
  return counts.reduce((best, one) => (one.count > best.count ? one : best)).separator;
}

/** Cells between separators; quotes may hold separators, line ends, and doubled quotes. */
function cellsOf(text: string, separator: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  const endRow = () => {
    row.push(cell);
    rows.push(row);
    row = [];
    cell = "";
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[++at];
      else isQuoted = false;
    } else if (letter === '"' && cell === "") isQuoted = true;
    else if (letter === separator) {
      row.push(cell);
      cell = "";
    } else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
  }
  if (isQuoted) throw new UnreadableFile("A quotation mark is not closed.");
  if (cell || row.length > 0) endRow();
  return rows;
}
