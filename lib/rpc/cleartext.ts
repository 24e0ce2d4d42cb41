// Where credentials may go: encrypted, or not beyond this machine.

/** Whether what is sent to a URL can't be read on the way: it is encrypted, or does not leave this machine. */
export function isConfidential(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || isThisMachine(hostname);
}

/** Whether a URL's host is this machine, by name or by address. Names below `localhost` are not: some resolvers ask others for them. */
export function isThisMachine(hostname: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
