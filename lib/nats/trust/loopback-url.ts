// Whether only this machine reaches a server of NATS. Where others do, it should ask them who they are.

/** Whether a server's URL, with or without its scheme, names this machine. */
export function isLoopbackUrl(url: string): boolean {
  const host = URL.parse(url.includes("://") ? url : `nats://${url}`)?.hostname ?? "";
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(host);
}
