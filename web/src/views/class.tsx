// The view "class".

/** The view. */
export default function Class() {
  return <h1>Class</h1>;
}
