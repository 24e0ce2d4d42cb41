// How numbers are written for people. Pure.

/** With as many digits as say something: `11,829`, `4.35`. */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return "?";
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(2);
}
