// Waiting that ends when somebody says so, and leaves no timer or listener behind.

/** Waits so many milliseconds; resolves with false at once when one of the signals is or gets aborted, else with true. Never rejects. */
export function pause(ms: number, ...signals: (AbortSignal | undefined)[]): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (waited: boolean): void => {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener("abort", cut);
      resolve(waited);
    };
    const cut = (): void => end(false);
    const timer = setTimeout(() => end(true), ms);
    for (const signal of signals) signal?.addEventListener("abort", cut, { once: true });
    if (signals.some((signal) => signal?.aborted)) cut();
  });
}
