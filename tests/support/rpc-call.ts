// Small readers of RPC calls: the error that one ends with, the messages of a stream one by one.
import { ConnectError } from "@connectrpc/connect";

/** Resolves with the ConnectError that a call rejects with; rejects when it succeeds or fails otherwise. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ConnectError) {
      return error;
    }
    throw error;
  }
  throw new Error("the call succeeded, but was expected to fail");
}

/** The iterator of a stream, to read its messages one by one. */
export function iteratorOf<T>(stream: AsyncIterable<T>): AsyncIterator<T> {
  return stream[Symbol.asyncIterator]();
}
