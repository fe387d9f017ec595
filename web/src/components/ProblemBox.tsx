// A problem, told: what happened, what to do, and the server's own words.
import type { Problem } from "../rpc/problem.ts";

interface Props {
  readonly problem: Problem;
  /** Offers to try again. */
  readonly onRetry?: () => void;
}

/** A box with a problem; screen readers hear it when it appears. */
export function ProblemBox({ problem, onRetry }: Props) {
  const { title, advice, detail, fields, reason } = problem;
  return (
    <div class="problem" role="alert" data-reason={reason}>
      <p>
        <strong>{title}</strong> {advice}
      </p>
      {fields.length > 0 ? (
        <ul>
          {fields.map(({ field, description }) => (
            <li key={field}>
              <code>{field}</code>: {description}
            </li>
          ))}
        </ul>
      ) : (
        detail && <p class="quiet">{detail}</p>
      )}
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
