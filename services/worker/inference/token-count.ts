// Owns what counts as a count of tokens: what a server gives need not be one. Pure.

/** What the contract's 32 bits hold. */
const MAX_TOKENS = 2 ** 31 - 1;

/** The count; undefined if it cannot be told. */
export function tokenCount(count: number | undefined): number | undefined {
  return count !== undefined && Number.isInteger(count) && count >= 0 && count <= MAX_TOKENS ? count : undefined;
}
