// How clients and agents show who they are, and how they know whom they talk to: options, defaults, checks. Nothing secret is shown in errors.
import type { Interceptor } from "@connectrpc/connect";
import { type ClientTls, type ClientTlsOptions, openClientTls } from "../../lib/tls/client-tls.ts";
import type { Logger } from "../../lib/core/logger.ts";
import { isConfidential } from "../../lib/rpc/cleartext.ts";
import { bearerHeader, renewedBearer } from "./bearer.ts";

export type { ClientTlsOptions } from "../../lib/tls/client-tls.ts";

/** Gives a token for a call. `refused`: the last one was not accepted, a kept one would not be either. */
export type TokenSource = (why: { readonly refused: boolean }) => string | Promise<string>;

/** Who calls, and whom. */
export interface AccessOptions {
  /** How to speak TLS, for `https:` URLs. */
  readonly tls?: ClientTlsOptions;
  /** A bearer token, or what gives one for each call. Either this or `apiKey`. */
  readonly token?: string | TokenSource;
  /** An API key, or what gives one for each call. Either this or `token`. */
  readonly apiKey?: string | TokenSource;
  /**
   * Sends credentials also over connections that are not encrypted, to hosts other than this one. Whoever is on the way can read and use
   * them: for networks that encrypt by themselves. Default false: refused.
   */
  readonly allowCleartextCredentials?: boolean;
}

/** The options, checked. */
export interface ResolvedAccess {
  /** For `https:` URLs; undefined if there are none. */
  readonly tls: ClientTls | undefined;
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** What sees to each call, innermost of all; undefined if the headers will do. */
  readonly interceptor: Interceptor | undefined;
  /** Whether a call that is refused for its credential may be accepted with the next one. */
  readonly renews: boolean;
}

/** Puts headers into each call. */
export function withHeaders(headers: Readonly<Record<string, string>>): Interceptor {
  const entries = Object.entries(headers);
  return (next) => async (request) => {
    for (const [name, value] of entries) request.header.set(name, value);
    return await next(request);
  };
}

/**
 * Checks the options for calls to these URLs. `headers` are those that all calls have anyway.
 *
 * @throws RangeError of one line.
 */
export function resolveAccess(
  options: AccessOptions,
  urls: readonly string[],
  logger: Logger,
  headers: Readonly<Record<string, string>> = {},
): ResolvedAccess {
  const { token, apiKey } = options;
  if (token !== undefined && apiKey !== undefined) throw new RangeError("token and apiKey must not be given both");
  const source = token ?? apiKey;
  const own = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  if (own && source !== undefined) {
    throw new RangeError(
      `${token === undefined ? "apiKey" : "token"} and an authorization header must not be given both`,
    );
  }
  const readable = urls.find((url) => !isConfidential(url));
  if (readable !== undefined) {
    if ((own || source !== undefined) && options.allowCleartextCredentials !== true) {
      throw new RangeError(`credentials are not sent unencrypted to ${new URL(readable).host}: use https`);
    }
    if (options.tls !== undefined) throw new RangeError(`tls is given, but ${readable} is not encrypted: use https`);
  }
  const name = token === undefined ? "apiKey" : "token";
  const complain = (reason: string): void =>
    logger.warn({ reason }, "new TLS files are not good: the old ones stay in use");
  return {
    // Making one loads all authorities that the machine knows, which takes a while.
    tls: urls.some((url) => new URL(url).protocol === "https:")
      ? openClientTls(options.tls ?? {}, complain)
      : undefined,
    headers: typeof source === "string" ? { authorization: bearerHeader(name, source) } : {},
    interceptor: typeof source === "function" ? renewedBearer(name, source) : undefined,
    renews: typeof source === "function",
  };
}
