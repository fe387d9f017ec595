// Text with formulas between dollar signs, as assignments are written.
import { Formula } from "./Formula.tsx";

interface Props {
  readonly text: string;
}

/** The text, its formulas set. */
export function RichText({ text }: Props) {
  const parts = text.split("$");
  // A lone dollar sign is a dollar sign.
  if (parts.length % 2 === 0) return <>{text}</>;
  return (
    <>
      {parts.map((part, at) => {
        const key = `${at} ${part}`;
        return at % 2 === 0 ? <span key={key}>{part}</span> : <Formula key={key} latex={part} plain={part} />;
      })}
    </>
  );
}
