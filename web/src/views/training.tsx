// The view "training".

/** The view. */
export default function Training() {
  return <h1>Training</h1>;
}
