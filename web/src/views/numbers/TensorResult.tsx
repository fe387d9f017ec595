// What the server says of one pasted tensor: verdict, mistake, and its entries marked right or wrong.
import { type Cell, MatrixTable } from "../../components/MatrixTable.tsx";
import { RichText } from "../../components/RichText.tsx";
import { Verdict } from "../../components/Verdict.tsx";
import { Closeness, Verdict as Given, type TensorReport } from "../../gen/backprop/v1/grading_service_pb.ts";
import { shortNumber } from "../../model/number.ts";
import { writtenName } from "../../model/quantity.ts";
import { lookOf, mistakeCode, mistakeName, rightEntries } from "../../model/verdict.ts";
import type { Submitted } from "../../rpc/compare.ts";

interface Props {
  readonly report: TensorReport;
  readonly tensor: Submitted;
}

/** The result. */
export function TensorResult({ report, tensor }: Props) {
  const name = writtenName(report);
  const { grid } = report;
  const isRight = (cell: Cell) => grid?.right[cell.row * grid.columns + cell.column];
  const classOf = (cell: Cell) => (grid ? (isRight(cell) ? "right" : "wrong") : "");
  return (
    <section class={`report card ${lookOf(report.verdict).look}`} aria-label={name} data-tensor={name}>
      <p class="row">
        <strong>
          {name}: <Verdict verdict={report.verdict} />
        </strong>
        {mistakeName(report.mistake) && (
          <span class="mistake" data-mistake={mistakeCode(report.mistake)}>
            {mistakeName(report.mistake)}
          </span>
        )}
      </p>
      {report.verdict !== Given.CORRECT && (
        <p>
          <RichText text={report.message} />
        </p>
      )}
      {report.closeness === Closeness.WITHIN_ONE_PERCENT && <p>Every entry is within 1 % of the right one.</p>}
      {report.largestAbsoluteError !== undefined && report.verdict !== Given.CORRECT && (
        <p class="quiet">Largest error: {shortNumber(report.largestAbsoluteError, 2)}</p>
      )}
      <MatrixTable
        matrix={tensor.pasted.matrix}
        caption={
          grid ? `Your ${name}: ${rightEntries(grid)} of ${grid.right.length} entries are right` : `Your ${name}`
        }
        nameOf={({ row, column }) => `${name}[${row + 1}, ${column + 1}]`}
        classOf={classOf}
        noteOf={classOf}
      />
    </section>
  );
}
