// Reads what a header presents. Knows nothing of what it is worth.

/** As RFC 6750 has it: the scheme in any case, then one token without spaces. */
const BEARER = /^bearer +([a-z0-9._~+/-]+=*) *$/i;

/** The token of an `authorization: Bearer …` header; undefined for any other header, and for none. */
export function bearerIn(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
}
