// The credential of a call, where it can change from call to call: asked for each, and asked for anew when one was refused.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { TokenSource } from "./access-options.ts";

/** The header's value. Throws RangeError, without the credential, for what can't stand in a header. */
export function bearerHeader(name: string, credential: string): string {
  // What a header can't hold, or what would be two words of it.
  if (!/^[\x21-\x7e]+$/.test(credential)) {
    throw new RangeError(`${name} must be visible ASCII characters without spaces, at least one`);
  }
  return `Bearer ${credential}`;
}

/**
 * Puts a credential into each call. One that is refused is asked for anew, and the call made once more with it if it is another one: a
 * refusal says that nothing was begun. A stream is not made again here, but whoever resumes it gets the new one.
 */
export function renewedBearer(name: string, source: TokenSource): Interceptor {
  let refused = false;
  const next = async (): Promise<string> => {
    const why = { refused };
    refused = false;
    try {
      return bearerHeader(name, await source(why));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ConnectError(
        `no credential for the call: ${reason}`,
        Code.Unauthenticated,
        undefined,
        undefined,
        error,
      );
    }
  };
  async function* noticing<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (error) {
      refused ||= isRefusal(error);
      throw error;
    }
  }
  return (call) => async (request) => {
    const header = await next();
    request.header.set("authorization", header);
    try {
      const response = await call(request);
      return response.stream ? { ...response, message: noticing(response.message) } : response;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused = true;
      if (request.stream) throw error;
      const renewed = await next();
      if (renewed === header) throw error;
      request.header.set("authorization", renewed);
      try {
        return await call(request);
      } catch (again) {
        refused ||= isRefusal(again);
        throw again;
      }
    }
  };
}

function isRefusal(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unauthenticated;
}
