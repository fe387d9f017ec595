// Numbers as a reader sees them: four digits, a true minus sign, powers of ten as powers. The exact value is in the DOM.

const SUPERSCRIPT: Readonly<Record<string, string>> = {
  "-": "⁻",
  "0": "⁰",
  "1": "¹",
  "2": "²",
  "3": "³",
  "4": "⁴",
  "5": "⁵",
  "6": "⁶",
  "7": "⁷",
  "8": "⁸",
  "9": "⁹",
};

/** `value` with at most `digits` significant digits: −0.3412, 1.2·10⁻⁹, 0. */
export function shortNumber(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return withPower(value, digits);
  return minus(String(Number(value.toPrecision(digits))));
}

function withPower(value: number, digits: number): string {
  const [mantissa = "", power = "0"] = value.toExponential(digits - 2).split("e");
  return `${minus(String(Number(mantissa)))}·10${raised(String(Number(power)))}`;
}

/** `text` with a minus sign in place of a hyphen. */
export function minus(text: string): string {
  return text.replace("-", "−");
}

/** Digits as superscripts: "12" → "¹²". */
export function raised(text: string): string {
  return Array.from(text, (letter) => SUPERSCRIPT[letter] ?? letter).join("");
}

/** Digits as subscripts: "12" → "₁₂". */
export function lowered(text: string): string {
  return text.replace(/\d/g, (digit) => String.fromCharCode(0x2080 + Number(digit)));
}

/** The sign of a number, as a class of the style sheet. */
export function signOf(value: number): "positive" | "negative" | "zero" {
  if (value > 0) return "positive";
  return value < 0 ? "negative" : "zero";
}
