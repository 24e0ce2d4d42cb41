// Call options for an optional signal: exact optional properties may not be undefined.

/** `{ signal }`, or `{}` without one. */
export function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
