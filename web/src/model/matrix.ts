// Dense row-major matrices, and how they are written: in an address, and for a reader.

/** A matrix; its entries are exactly the server's. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

/** The entry in `row` and `column`, both from 0. */
export function entryAt(matrix: Matrix, row: number, column: number): number {
  return matrix.data[row * matrix.columns + column] ?? Number.NaN;
}

/** A copy with another entry. */
export function withEntry(matrix: Matrix, row: number, column: number, value: number): Matrix {
  const data = Array.from(matrix.data);
  data[row * matrix.columns + column] = value;
  return { ...matrix, data };
}

/** A matrix from its rows. */
export function matrixOf(rows: readonly (readonly number[])[]): Matrix {
  return { rows: rows.length, columns: rows[0]?.length ?? 0, data: rows.flat() };
}

/** A matrix as `1,2;3,4`: rows are separated by semicolons. Every number reads back to its own bits. */
export function writeMatrix(matrix: Matrix): string {
  const rows = Array.from({ length: matrix.rows }, (_, row) =>
    Array.from({ length: matrix.columns }, (_, column) => exact(entryAt(matrix, row, column))).join(","),
  );
  return rows.join(";");
}

/** Reads `1,2;3,4`; undefined if it is not a matrix of finite numbers. */
export function readMatrix(text: string): Matrix | undefined {
  const rows = text.split(";").map((row) => row.split(",").map((entry) => (entry.trim() ? Number(entry) : Number.NaN)));
  const columns = rows[0]?.length ?? 0;
  const isMatrix = rows.every((row) => row.length === columns && row.every(Number.isFinite));
  return isMatrix ? matrixOf(rows) : undefined;
}

/** A number with all its digits: the shortest text that reads back to the same bits. */
export function exact(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}
