// The view "homework".

/** The view. */
export default function Homework() {
  return <h1>Homework</h1>;
}
