// What can go wrong when opening a listener, as one coded error with a line that a user can act on.

/**
 * Why a listener could not be opened: the port is in use, the port needs privileges, this machine does not have the
 * address, or something else (see `cause`).
 */
export type ListenErrorCode = "PORT_TAKEN" | "PORT_PRIVILEGED" | "ADDRESS_UNAVAILABLE" | "LISTEN_FAILED";

/** A listener could not be opened. `message` is one line for a user; no stack is needed to act on it. */
export class ListenError extends Error {
  override readonly name: string = "ListenError";
  /** What went wrong. */
  readonly code: ListenErrorCode;
  /** Host that was asked for. */
  readonly host: string;
  /** Port that was asked for. */
  readonly port: number;

  constructor(host: string, port: number, cause: unknown) {
    const code = codeOf(cause);
    super(messageOf(code, host, port, cause), { cause });
    this.code = code;
    this.host = host;
    this.port = port;
  }
}

function codeOf(cause: unknown): ListenErrorCode {
  const systemCode = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (systemCode) {
    case "EADDRINUSE":
      return "PORT_TAKEN";
    case "EACCES":
      return "PORT_PRIVILEGED";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "ADDRESS_UNAVAILABLE";
    default:
      return "LISTEN_FAILED";
  }
}

function messageOf(code: ListenErrorCode, host: string, port: number, cause: unknown): string {
  switch (code) {
    case "PORT_TAKEN":
      return `port ${port} on ${host} is already in use`;
    case "PORT_PRIVILEGED":
      return `no permission to listen on port ${port} on ${host}; ports below 1024 usually need privileges`;
    case "ADDRESS_UNAVAILABLE":
      return `cannot listen on ${host}: this machine does not have that address`;
    case "LISTEN_FAILED":
      return `cannot listen on port ${port} on ${host}: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}
