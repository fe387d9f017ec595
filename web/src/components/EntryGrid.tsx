// Which entries of an answer are right: a table of glyphs.
import type { Grid } from "../gen/backprop/v1/grading_service_pb.ts";
import { rightEntries } from "../model/verdict.ts";

interface Props {
  readonly grid: Grid;
}

/** More are counted and not drawn. */
const MOST = 16;

/** The grid; entries count from 1, as in the assignment. */
export function EntryGrid({ grid }: Props) {
  const [rows, columns] = [Math.min(grid.rows, MOST), Math.min(grid.columns, MOST)];
  const range = (count: number) => Array.from({ length: count }, (_, at) => at);
  const isCut = rows < grid.rows || columns < grid.columns;
  return (
    <div class="matrix-scroll">
      <table class="entry-grid">
        <caption>
          Right entries: {rightEntries(grid)} of {grid.right.length}
          {isCut && `; the first ${rows} × ${columns} are shown`}
        </caption>
        <thead>
          <tr>
            <td />
            {range(columns).map((column) => (
              <th key={column} scope="col">
                {column + 1}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {range(rows).map((row) => (
            <tr key={row}>
              <th scope="row">{row + 1}</th>
              {range(columns).map((column) => {
                const isRight = grid.right[row * grid.columns + column] ?? false;
                return (
                  <td key={column} class={isRight ? "right" : "wrong"}>
                    <span aria-hidden="true">{isRight ? "✓" : "✗"}</span>
                    <span class="visually-hidden">{isRight ? "right" : "wrong"}</span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
