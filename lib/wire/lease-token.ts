// The token of a lease: what shows that a dispatch, or an attempt, was given to the agent that reports on it.

/** No token, where the broker asks agents for no credentials. */
export const NO_TOKEN: Uint8Array = new Uint8Array();
