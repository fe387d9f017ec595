// The view "numbers".

/** The view. */
export default function Numbers() {
  return <h1>Numbers</h1>;
}
